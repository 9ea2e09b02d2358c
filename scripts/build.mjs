/**
 * Builds dist: the library module by module (.js, .d.ts, source maps), and each executable as minified bundles behind a small
 * launcher. Workers stand twice: beside their modules for the library, and beside the bundles for the executables,
 * because both find a worker by its file name relative to themselves.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { lateSegmenter } from "./build/lateSegmenter.mjs"

const root = fileURLToPath(new URL("../", import.meta.url))
const dist = path.join(root, "dist")
const executables = ["soci", "daemon"]

/** Native code cannot be bundled; redis is an optional peer of a module that we do not use. */
const external = [/^node:/, "koffi", "fuse-native", "redis"]

const emitLibrary = () => {
  rmSync(dist, { recursive: true, force: true })
  const tsc = path.join(root, "node_modules", ".bin", "tsc")
  const { status } = spawnSync(tsc, ["-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" })
  // What is wrong with the types, tsc has said.
  if (status !== 0) process.exit(1)
}

const output = { dir: path.join(dist, "main"), format: "esm", minify: true, keepNames: true, sourcemap: true }

/** A worker is one file that needs no other. */
const bundleWorker = async (entry, name) => {
  const build = await rolldown({ input: path.join(root, entry), cwd: root, platform: "node", external })
  await build.write({ ...output, entryFileNames: name, codeSplitting: false })
  await build.close()
}

const git = (...args) => spawnSync("git", args, { cwd: root, encoding: "utf8" })

/** The commit this is built from, with a mark where the sources differ from it. */
const revision = () => {
  const { status, stdout } = git("rev-parse", "HEAD")
  if (status !== 0) return "<unknown>"
  return stdout.trim() + (git("status", "--porcelain", "--untracked-files=no").stdout === "" ? "" : ".m")
}

/**
 * What is imported while the program runs lies in files of its own, beside the entry, where the workers are: `soci --help` loads the parser and no command.
 */
const bundleExecutable = async (entry, name) => {
  const build = await rolldown({
    input: { [name]: path.join(root, entry) },
    cwd: root,
    platform: "node",
    external,
    plugins: [lateSegmenter],
    transform: { define: { SOCI_REVISION: JSON.stringify(revision()) } }
  })
  await build.write({
    ...output,
    entryFileNames: "[name].bundle.js",
    chunkFileNames: `${name}.[name]-[hash].bundle.js`
  })
  await build.close()
}

/** The launcher replaces what tsc made of the entry: nobody imports an executable. */
const writeLauncher = (name) => {
  const emitted = path.join(dist, "main", `${name}.js`)
  for (const extra of [".d.ts", ".d.ts.map", ".js.map"]) rmSync(path.join(dist, "main", name + extra), { force: true })
  const template = readFileSync(path.join(root, "scripts", "build", "launcher.mjs"), "utf8")
  writeFileSync(emitted, template.replace("program.bundle.js", `${name}.bundle.js`))
  chmodSync(emitted, 0o755)
}

const buildExecutable = async (name) => {
  const entry = `src/main/${name}.ts`
  if (!existsSync(path.join(root, entry))) return console.error(`build: there is no ${entry}, so no ${name}.js`)
  await bundleExecutable(entry, name)
  writeLauncher(name)
}

const workers = globSync("src/**/*Worker.ts", { cwd: root })
const names = workers.map((worker) => path.basename(worker, ".ts"))
const twice = names.find((name, at) => names.indexOf(name) !== at)
if (twice !== undefined)
  throw new Error(`two workers are called ${twice}.ts: beside the bundles they need different names`)

emitLibrary()
for (const worker of workers) await bundleWorker(worker, `${path.basename(worker, ".ts")}.js`)
for (const name of executables) await buildExecutable(name)
