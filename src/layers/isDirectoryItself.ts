/**
 * Whether a path inside an image is a directory, and not a symbolic link that may lead out of the image.
 */
import { Effect } from "effect"
import * as fs from "node:fs/promises"

export const isDirectoryItself = (file: string): Effect.Effect<boolean> =>
  Effect.promise(() =>
    fs.lstat(file).then(
      (stat) => stat.isDirectory(),
      () => false
    )
  )
