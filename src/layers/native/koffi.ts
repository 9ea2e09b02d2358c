/**
 * koffi, loaded when a native function is first wanted: without it a process can do all that needs none.
 */
import { createRequire } from "node:module"
import type { default as Koffi } from "koffi"

let loaded: typeof Koffi | undefined

/** Throws where koffi has no binary for the machine. */
export const koffi = (): typeof Koffi => (loaded ??= createRequire(import.meta.url)("koffi") as typeof Koffi)

/** What a system call answered: zero or more, or a negative errno. To be asked right after the call, on its thread. */
export const answered = (result: number): number => (result < 0 ? -koffi().errno() : result)
