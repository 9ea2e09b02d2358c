/**
 * Sets up what `npm run demo` and `npm test` need, and nothing twice: the locked npm dependencies (Node 24 is one of them)
 * and, for the tests, system packages. Says nothing where there is nothing to do.
 *
 *   node scripts/setup.mjs [--for demo|test]
 *
 * Plain JavaScript for any Node >= 18, without dependencies: it runs before there are any.
 */
import { existsSync, readFileSync } from "node:fs"
import { installDependencies } from "./setup/dependencies.mjs"
import { SetupError, note } from "./setup/messages.mjs"
import { installSystemPackages } from "./setup/systemPackages.mjs"

const CAP_SYS_ADMIN = 21n

/** Whether this process may mount at all: root in a container often may not. */
const mayMount = () => {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]
  return effective !== undefined && ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n
}

/** What this machine lacks for mounts: one line each, with the way to get it. */
const missingForMounts = () => {
  if (process.platform !== "linux") {
    return [
      `this is ${process.platform}, and mounting needs Linux: use a Linux machine or a privileged Linux container`
    ]
  }
  const missing = []
  if (process.getuid() !== 0) missing.push("not root, and mounting needs it: run the same command with sudo or as root")
  else if (!mayMount()) missing.push("root without CAP_SYS_ADMIN: start the container with --privileged")
  if (!existsSync("/dev/fuse")) {
    missing.push("no /dev/fuse: run `modprobe fuse` as root, or start the container with --device /dev/fuse")
  }
  return missing
}

const setUp = (purpose) => {
  installDependencies()
  if (purpose === undefined) return
  const missing = missingForMounts()
  if (purpose === "demo") {
    if (missing.length > 0) throw new SetupError(missing.map((line) => `the demo cannot run: ${line}`).join("\n"))
    return
  }
  for (const line of missing) note(`${line}. The tests that need it are skipped and say so.`)
  installSystemPackages()
}

const purposeOf = (args) => {
  if (args.length === 0) return undefined
  if (args.length === 2 && args[0] === "--for" && ["demo", "test"].includes(args[1])) return args[1]
  throw new SetupError("usage: node scripts/setup.mjs [--for demo|test]")
}

try {
  setUp(purposeOf(process.argv.slice(2)))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  note(error.message)
  process.exitCode = 1
}
