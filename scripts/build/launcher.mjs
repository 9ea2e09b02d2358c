#!/usr/bin/env node
/**
 * Starts the bundle with compiled code from the last run. Must load on any Node that knows ES modules, to be able to say
 * that it is too old; where Node 24 was installed as a dependency, that one takes over.
 */
import * as module from "node:module"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const required = 24

/** Not the default below /tmp, where anybody could put code for root to run. */
const cacheDirectory = () =>
  process.env.NODE_COMPILE_CACHE ||
  path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache"), "effect-soci")

const installedNode = () => {
  try {
    return module.createRequire(import.meta.url).resolve("node/bin/node")
  } catch {
    return undefined
  }
}

const runOn = async (node) => {
  const { spawn } = await import("node:child_process")
  const program = fileURLToPath(import.meta.url)
  const child = spawn(node, [...process.execArgv, program, ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...process.env, EFFECT_SOCI_RELAUNCHED: "1" }
  })
  // A terminal sends Ctrl-C to the child as well; twice does no harm, while dying before the child would.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
    process.on(signal, () => child.kill(signal))
  child.on("error", (error) => refuse(error.message))
  child.on("exit", (code, signal) => process.exit(code ?? 128 + os.constants.signals[signal]))
}

const refuse = (detail) => {
  console.error(
    `effect-soci needs Node ${required} or newer, and this is ${process.version}${detail ? ` (${detail})` : ""}.`
  )
  console.error(`Install it from nodejs.org, or as a package beside this one: npm install node@${required}`)
  process.exitCode = 1
}

if (Number(process.versions.node.split(".")[0]) >= required) {
  delete process.env.EFFECT_SOCI_RELAUNCHED
  module.enableCompileCache(cacheDirectory())
  await import("./program.bundle.js")
} else {
  const node = process.env.EFFECT_SOCI_RELAUNCHED ? undefined : installedNode()
  if (node === undefined) refuse()
  else await runOn(node)
}
