/**
 * Tells how a layer is compressed by the bytes it begins with.
 */
import { Effect, type Scope, Sink, Stream } from "effect"
import type { LayerCompression } from "../services/MediaType.ts"

const magics: ReadonlyArray<readonly [LayerCompression, ReadonlyArray<number>]> = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]]
]

/** Anything that is not a known compression counts as a plain tar. */
export const compressionOf = (start: Uint8Array): LayerCompression =>
  magics.find(([, magic]) => magic.every((byte, i) => start[i] === byte))?.[0] ?? "uncompressed"

/** The compression, and the stream with all its bytes. */
export const sniffCompression = <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>
): Effect.Effect<readonly [LayerCompression, Stream.Stream<Uint8Array, E>], E, R | Scope.Scope> =>
  Effect.suspend(() => {
    let seen = 0
    const enough = Sink.takeUntil((chunk: Uint8Array) => (seen += chunk.length) >= 4)
    return Effect.map(
      Stream.peel(bytes, enough),
      ([start, rest]) => [compressionOf(Buffer.concat(start)), Stream.concat(Stream.fromIterable(start), rest)] as const
    )
  })
