/** The npm dependencies of package-lock.json, the pinned Node 24 among them. */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { SetupError, note } from "./messages.mjs"

const root = fileURLToPath(new URL("../../", import.meta.url))
const binaries = path.join(root, "node_modules", ".bin")

const packagesOf = (file) => {
  try {
    return JSON.parse(readFileSync(path.join(root, file), "utf8")).packages
  } catch {
    return undefined
  }
}

/**
 * npm writes node_modules/.package-lock.json as the last step of an install: where it names each package of our lock with
 * the same content, that install came to its end. That the directories are still there is looked at separately, because
 * nothing updates that file when one of them goes. Optional packages may be for another platform.
 */
const upToDate = (locked) => {
  const installed = packagesOf("node_modules/.package-lock.json")
  if (installed === undefined) return false
  return Object.entries(locked).every(
    ([place, entry]) =>
      place === "" ||
      entry.optional === true ||
      (installed[place]?.version === entry.version &&
        installed[place]?.integrity === entry.integrity &&
        existsSync(path.join(root, place, "package.json")))
  )
}

/** npm must not run on the Node inside node_modules, which it is about to replace. */
const outerPath = () =>
  (process.env.PATH ?? "")
    .split(path.delimiter)
    .filter((directory) => path.resolve(directory) !== binaries)
    .join(path.delimiter)

const install = () => {
  note("installing the npm dependencies of package-lock.json, this once ...")
  const { status, error } = spawnSync("npm", ["ci", "--loglevel=error", "--no-audit", "--no-fund"], {
    cwd: root,
    env: { ...process.env, PATH: outerPath() },
    stdio: ["ignore", 2, 2]
  })
  if (error !== undefined)
    throw new SetupError(`cannot run npm (${error.message}): install it, e.g. apt-get install npm`)
  if (status !== 0) {
    throw new SetupError(
      "the npm dependencies could not be installed (npm's reason stands above): " +
        "connect to the network or a registry mirror, then run this again"
    )
  }
}

const checkNode = (version) => {
  const { stdout, error } = spawnSync(path.join(binaries, "node"), ["--version"], { encoding: "utf8" })
  if (stdout?.trim() === `v${version}`) return
  throw new SetupError(
    `the npm package node@${version} is installed but does not run (${error?.message ?? `it says ${stdout?.trim()}`}): ` +
      "allow install scripts (npm config set ignore-scripts false), then run npm ci"
  )
}

export const installDependencies = () => {
  const locked = packagesOf("package-lock.json")
  if (locked === undefined) throw new SetupError("package-lock.json is missing or no JSON: take it from git again")
  if (!upToDate(locked)) install()
  checkNode(locked["node_modules/node"].version)
}
