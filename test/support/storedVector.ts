/**
 * Images of the reference vectors in a running containerd, put there by containerd's own client.
 */
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Containerd } from "./containerd.ts"
import { vectorFile } from "./indexVectors.ts"
import { runProgram } from "./programs.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

interface LayoutIndex {
  readonly manifests: ReadonlyArray<Record<string, unknown>>
}

/** The layout as an archive whose image has a tag, as containerd wants it. */
const taggedArchive = Effect.fnUntraced(function* (name: string) {
  const directory = yield* temporaryDirectory
  const layout = path.join(directory, "layout")
  yield* Effect.promise(async () => {
    await fs.cp(vectorFile(`${name}/input`), layout, { recursive: true })
    const file = path.join(layout, "index.json")
    const index: LayoutIndex = JSON.parse(await fs.readFile(file, "utf8"))
    const [first] = index.manifests
    const tagged = { ...first, annotations: { "org.opencontainers.image.ref.name": "v1" } }
    await fs.writeFile(file, JSON.stringify({ ...index, manifests: [tagged] }))
  })
  const archive = path.join(directory, "image.tar")
  yield* runProgram("tar", "-C", layout, "-cf", archive, ".")
  return archive
}, Effect.orDie)

/** Imports the image as `<host>/<vector>:v1` and answers with that name. */
export const importVector = Effect.fnUntraced(function* (daemon: Containerd, name: string, host = "registry.test") {
  const archive = yield* taggedArchive(name)
  yield* Effect.orDie(daemon.importImage(archive, { baseName: `${host}/${name}` }))
  return `${host}/${name}:v1`
})
