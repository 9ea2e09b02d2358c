/**
 * What the running layer has put into directories: whiteouts take away what earlier layers left, never this.
 */
import type { ByteString } from "../../services/Ztoc.ts"
import { statusAt } from "../native/fileSystem.ts"
import { checked } from "./EntryProblem.ts"

export class TouchedNames {
  /** By the identity of the directory: one directory may be reached by several paths. */
  readonly #names = new Map<string, Set<ByteString>>()

  add(directory: number, name: ByteString): void {
    const identity = identityOf(directory)
    const names = this.#names.get(identity)
    if (names) names.add(name)
    else this.#names.set(identity, new Set([name]))
  }

  in(directory: number): ReadonlySet<ByteString> {
    return this.#names.get(identityOf(directory)) ?? none
  }

  /** The directory goes; its number may come back as another one. */
  forget(directory: number): void {
    this.#names.delete(identityOf(directory))
  }
}

const none: ReadonlySet<ByteString> = new Set()

const identityOf = (directory: number): string => checked("look at a directory", statusAt(directory, "")).identity
