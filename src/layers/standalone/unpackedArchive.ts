/**
 * An archive whose bytes can be read by ranges: itself, or what it is compressed from (CLI spec, section 13, row 9).
 */
import { NodeStream } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { createGunzip } from "node:zlib"
import { causeMessage } from "../../services/causeMessage.ts"
import { compressionOf } from "../../streams/sniffCompression.ts"
import { readRange } from "../fileBlob.ts"
import { StandaloneFailed } from "./StandaloneFailed.ts"

const chunkBytes = 256 * 1024

/** Layers are compressed already; an archive that grows more than this is a bomb. A small one may be all zeros. */
const growth = { times: 100, bytesTaken: 1024 ** 3 }

/** The path of an uncompressed archive; a compressed one is inflated once, to a file in the scratch directory. */
export const unpackedArchive = Effect.fnUntraced(function* (archive: string, scratch: string, limits = growth) {
  const failed = (cause: unknown) =>
    new StandaloneFailed({ attempted: `failed to extract OCI tar ${archive}`, reason: causeMessage(cause), cause })
  const attempt = <A>(run: () => Promise<A>) => Effect.tryPromise({ try: run, catch: failed })
  const opened = (file: string, flags: string) =>
    Effect.acquireRelease(
      attempt(() => fs.open(file, flags)),
      (handle) => Effect.promise(() => handle.close())
    )

  return yield* Effect.scoped(
    Effect.gen(function* () {
      const input = yield* opened(archive, "r")
      const start = Buffer.alloc(4)
      yield* attempt(() => input.read(start, 0, start.length, 0))
      const compression = compressionOf(start)
      if (compression === "uncompressed") return archive
      if (compression !== "gzip")
        return yield* failed(new Error(`it is compressed with ${compression}; use gzip or none`))
      const { size } = yield* attempt(() => input.stat())
      const limit = Math.max(limits.bytesTaken, size * limits.times)
      const tooLarge = failed(new Error(`it inflates to more than ${limit} bytes`))
      let written = 0
      const inflated = path.join(scratch, "input.tar")
      const output = yield* opened(inflated, "wx")
      yield* readRange(input, 0, Infinity, failed).pipe(
        NodeStream.pipeThroughDuplex({ evaluate: () => createGunzip({ chunkSize: chunkBytes }), onError: failed }),
        Stream.tap((chunk) => ((written += chunk.length) > limit ? Effect.fail(tooLarge) : Effect.void)),
        Stream.runForEach((chunk) => attempt(() => output.writeFile(chunk)))
      )
      return inflated
    })
  )
})
