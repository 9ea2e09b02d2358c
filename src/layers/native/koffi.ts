/**
 * koffi, loaded when a native function is first wanted: without it a process can do all that needs none.
 */
import { createRequire } from "node:module"
import type { default as Koffi } from "koffi"

let loaded: typeof Koffi | undefined

/** Throws where koffi has no binary for the machine. */
export const koffi = (): typeof Koffi => (loaded ??= createRequire(import.meta.url)("koffi") as typeof Koffi)
