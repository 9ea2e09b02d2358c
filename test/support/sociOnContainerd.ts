/**
 * The command line on a containerd of its own, with an image of the reference vectors in it.
 */
import { Effect } from "effect"
import { containerd } from "./containerd.ts"
import { type ProgramOptions, runSociWith } from "./sociCommand.ts"
import { importVector } from "./storedVector.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

/** The lines of a text, in order. */
export const sortedLines = (text: string): ReadonlyArray<string> => text.split("\n").filter(Boolean).toSorted()

/** `soci` runs with the address and the root that belong to it. */
export const sociOnContainerd = Effect.fnUntraced(function* (vector: string, host = "registry.test") {
  const daemon = yield* containerd()
  const image = yield* importVector(daemon, vector, host)
  const root = yield* temporaryDirectory
  const sociWith = (options: ProgramOptions, ...args: ReadonlyArray<string>) =>
    runSociWith(options, ...args, "--address", daemon.address, "--root", root)
  const soci = (...args: ReadonlyArray<string>) => sociWith({}, ...args)
  return {
    daemon,
    image,
    root,
    soci,
    sociWith,
    /** What `index list` knows, in order. */
    indexDigests: Effect.map(soci("index", "list", "-q"), ({ stdout }) => sortedLines(stdout)),
    /** What is in containerd's content store, in order. */
    content: Effect.orDie(Effect.map(daemon.ctr("content", "ls", "-q"), sortedLines))
  }
})
