import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as path from "node:path"
import * as ArtifactsDbSqlite from "../../../src/layers/ArtifactsDbSqlite.ts"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { ArtifactsDb } from "../../../src/services/ArtifactsDb.ts"
import { ContentStore } from "../../../src/services/ContentStore.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { indexEntry, prefetchEntry } from "../../support/artifactEntries.ts"
import { descriptorOf, utf8 } from "../../support/content.ts"
import { runSociWith } from "../../support/sociCommand.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const one = utf8('{"version":"1.0","prefetch_spans":[{"start_span":0,"end_span":1}]}')
const two = utf8(
  '{"version":"1.0","prefetch_spans":[{"start_span":2,"end_span":2,"priority":7},{"start_span":5,"end_span":9}]}'
)
const entryOf = (name: string, bytes: Uint8Array) =>
  prefetchEntry(name, { digest: descriptorOf(bytes).digest, size: bytes.length, createdAt: new Date() })

const entries = [entryOf("one", one), entryOf("two", two), prefetchEntry("gone", { createdAt: new Date() })]
const [first, second, gone] = entries

/** A root with two artifacts, and a row of a third whose content is gone. */
const setUp = Effect.gen(function* () {
  const root = yield* temporaryDirectory
  const services = Layer.merge(
    ArtifactsDbSqlite.layer({ path: path.join(root, "artifacts.sqlite") }),
    ContentStoreLayout.layer({ root: path.join(root, "content") })
  )
  yield* Effect.gen(function* () {
    const [db, store] = [yield* ArtifactsDb, yield* ContentStore]
    yield* Effect.forEach([...entries, indexEntry("index")], db.write)
    for (const bytes of [one, two]) {
      yield* store.ingest(descriptorOf(bytes, MediaType.sociPrefetch), Stream.succeed(bytes))
    }
  }).pipe(Effect.provide(services))
  const environment = { TZ: "UTC" }
  return (...args: ReadonlyArray<string>) =>
    runSociWith({ environment }, "prefetch", ...args, "--root", root, "--content-store", "soci")
})

const blanks = (count: number) => " ".repeat(count)
const inOrder = entries.toSorted((a, b) => (a.digest < b.digest ? -1 : 1))

describe("soci prefetch list", () => {
  it.live("prints the reference's table, and N/A for what cannot be read", () =>
    Effect.gen(function* () {
      const prefetch = yield* setUp
      const ended = yield* prefetch("ls")
      assert.strictEqual(ended.stderr, "")
      const [header, ...lines] = ended.stdout.split("\n")
      assert.strictEqual(header, `DIGEST${blanks(69)}LAYER DIGEST${blanks(63)}SPANS    CREATED    `)
      const spans = new Map([
        [first?.digest, "2  "],
        [second?.digest, "6  "],
        [gone?.digest, "N/A"]
      ])
      assert.deepStrictEqual(
        lines.map((line) => line.replace(/\d+s ago +$/, "")),
        [...inOrder.map((row) => `${row.digest}    ${row.originalDigest}    ${spans.get(row.digest)}      `), ""]
      )
    })
  )

  it.live("is the reference's JSON, with -1 for what cannot be read and null for nothing", () =>
    Effect.gen(function* () {
      const prefetch = yield* setUp
      const listed: unknown = JSON.parse((yield* prefetch("list", "--json")).stdout)
      const totals = new Map([
        [first?.digest, 2],
        [second?.digest, 6],
        [gone?.digest, -1]
      ])
      assert.deepStrictEqual(
        listed,
        inOrder.map(({ digest, originalDigest, createdAt }) => ({
          Digest: digest,
          LayerDigest: originalDigest,
          TotalSpans: totals.get(digest),
          CreatedAt: createdAt.toISOString()
        }))
      )
      const none = yield* runSociWith({}, "prefetch", "ls", "--json", "--root", yield* temporaryDirectory)
      assert.strictEqual(none.stdout, "null\n")
    })
  )
})

describe("soci prefetch info", () => {
  it.live("says what the reference says, and adds the JSON when asked to", () =>
    Effect.gen(function* () {
      const prefetch = yield* setUp
      const ended = yield* prefetch("info", "--json", second?.digest ?? "")
      const created = second?.createdAt.toISOString().replace("T", " ").slice(0, 19)
      const words = [
        `Digest:        ${second?.digest}`,
        "Version:       1.0",
        "Span Ranges:   2",
        `Layer Digest:  ${second?.originalDigest}`,
        `Size:          ${two.length} bytes`,
        `Created:       ${created}`,
        "",
        "Prefetch Spans:",
        "  [0] StartSpan: 2, EndSpan: 2 (covers 1 spans)",
        "      Priority: 7",
        "  [1] StartSpan: 5, EndSpan: 9 (covers 5 spans)",
        "",
        "Total spans to prefetch: 6",
        ""
      ]
      const raw = JSON.stringify(JSON.parse(Buffer.from(two).toString()), null, 2)
      assert.strictEqual(ended.stdout, [...words, "Raw JSON:", raw, ""].join("\n"))
      assert.strictEqual((yield* prefetch("info", second?.digest ?? "")).stdout, words.join("\n"))
    })
  )

  it.live("refuses other artifacts, and those that are gone", () =>
    Effect.gen(function* () {
      const prefetch = yield* setUp
      const index = indexEntry("index").digest
      assert.strictEqual(
        (yield* prefetch("info", index)).stderr,
        "soci: the provided digest is not a prefetch artifact (type: soci_index)\n"
      )
      assert.strictEqual(
        (yield* prefetch("info", gone?.digest ?? "")).stderr,
        `soci: content digest ${gone?.digest}: not found\n`
      )
      assert.strictEqual((yield* prefetch("info", "foo")).stderr, "soci: invalid checksum digest format\n")
    })
  )
})
