/**
 * Takes a stream of bytes apart, without holding more of it than one chunk.
 */
import { Cause, Effect, type Pull, Stream } from "effect"

export interface PartReader<E> {
  /** The next `count` bytes, fewer at the end of the content. Each part must be read to its end before the next. */
  readonly take: (count: number) => Stream.Stream<Uint8Array, E>
  /** Reads what is left, so that a check at the end of the content is made. */
  readonly finish: Effect.Effect<void, E>
}

type Chunks = readonly [Uint8Array, ...ReadonlyArray<Uint8Array>]

export const makePartReader = Effect.fnUntraced(function* <E>(content: Stream.Stream<Uint8Array, E>) {
  const pull = yield* Stream.toPull(content)
  let waiting: ReadonlyArray<Uint8Array> = []

  const nextChunk: Pull.Pull<Uint8Array, E> = Effect.suspend(() => {
    const [first, ...rest] = waiting
    if (first !== undefined) {
      waiting = rest
      return Effect.succeed(first)
    }
    return Effect.map(pull, ([chunk, ...more]) => {
      waiting = more
      return chunk
    })
  })

  const take: PartReader<E>["take"] = (count) =>
    Stream.fromPull(
      Effect.sync(() => {
        let missing = count
        return Effect.suspend((): Pull.Pull<Chunks, E> => {
          if (missing <= 0) return Cause.done()
          return Effect.map(nextChunk, (chunk): Chunks => {
            const part = chunk.subarray(0, missing)
            if (part.length < chunk.length) waiting = [chunk.subarray(part.length), ...waiting]
            missing -= part.length
            return [part]
          })
        })
      })
    )

  return { take, finish: Stream.runDrain(take(Number.POSITIVE_INFINITY)) } satisfies PartReader<E>
})
