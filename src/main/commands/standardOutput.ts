/**
 * Writes streams to standard output, as fast as it is read.
 */
import { Effect, Stdio, Stream } from "effect"

export const writeStandardOutput = <E, R>(content: Stream.Stream<string | Uint8Array, E, R>) =>
  Effect.flatMap(Stdio.Stdio, (stdio) => Stream.run(content, stdio.stdout({ endOnDone: false })))
