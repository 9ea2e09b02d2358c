/**
 * Cuts a file's content out of a stream that begins with its tar headers.
 */
import { Effect, Stream } from "effect"
import type { TarHeaderMismatch } from "../services/ZtocReader.ts"
import type { PlacedEntry } from "./codec/ztoc.ts"
import { checkTarHeader } from "./tarHeaderCheck.ts"

/**
 * From the uncompressed bytes that begin at the entry's headers to those that follow them, less the first `skip` of the data. Nothing
 * passes before the headers were checked. Memory is the headers, whose length the caller has checked.
 */
export const afterHeader =
  (placed: PlacedEntry, skip: number) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E | TarHeaderMismatch, R> =>
    Stream.suspend(() => {
      const header: Array<Uint8Array> = []
      let missing = placed.entry.offset - placed.headerOffset
      let unwanted = skip
      let checked = false
      const check = (): Effect.Effect<void, TarHeaderMismatch> => {
        if (checked) return Effect.void
        checked = true
        return Effect.fromResult(checkTarHeader(placed, Buffer.concat(header)))
      }
      const takeChunk = (chunk: Uint8Array): Effect.Effect<Uint8Array, TarHeaderMismatch> => {
        const inHeader = Math.min(missing, chunk.length)
        if (inHeader > 0) header.push(chunk.subarray(0, inHeader))
        missing -= inHeader
        const data = chunk.subarray(inHeader)
        const dropped = Math.min(unwanted, data.length)
        unwanted -= dropped
        return missing > 0 ? Effect.succeed(data) : Effect.as(check(), data.subarray(dropped))
      }
      return bytes.pipe(
        Stream.mapEffect(takeChunk),
        Stream.filter((data) => data.length > 0),
        Stream.onEnd(Effect.suspend(check))
      )
    })
