/**
 * A program: builds the ztoc of the gzip layer on standard input, with spans of the size in its argument; prints its digest, and
 * which inflater the process chose for reading.
 */
import { Effect, Stream } from "effect"
import { buffer } from "node:stream/consumers"
import * as InflateLive from "../../src/layers/InflateLive.ts"
import * as ZtocBuilderWorkers from "../../src/layers/ZtocBuilderWorkers.ts"
import { Inflate } from "../../src/services/Inflate.ts"
import { defaultBuildToolIdentifier, ZtocBuilder } from "../../src/services/ZtocBuilder.ts"

const print = Effect.gen(function* () {
  const { implementation } = yield* Inflate
  const bytes = yield* Effect.promise(() => buffer(process.stdin))
  const builder = yield* ZtocBuilder
  const { digest } = yield* builder.build(Stream.succeed(bytes), {
    compression: "gzip",
    spanSize: Number(process.argv[2]),
    buildToolIdentifier: defaultBuildToolIdentifier
  })
  process.stdout.write(`${implementation} ${digest}`)
})

await Effect.runPromise(Effect.provide(print, [InflateLive.layer(), ZtocBuilderWorkers.layer]))
