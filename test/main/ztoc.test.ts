import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import * as ArtifactsDbSqlite from "../../src/layers/ArtifactsDbSqlite.ts"
import { ArtifactsDb } from "../../src/services/ArtifactsDb.ts"
import { hexOf } from "../../src/services/Descriptor.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { indexEntry, prefetchEntry, ztocEntry } from "../support/artifactEntries.ts"
import { noise } from "../support/content.ts"
import { prose } from "../support/lazyLayer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { builtJobs, readDump, readVector } from "../support/ztocVectors.ts"

const soci = fileURLToPath(new URL("../../src/main/soci.ts", import.meta.url))

interface Ended {
  readonly code: number
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs the program to its end; it is killed when the fiber is interrupted. */
const ztocWith = (input: Uint8Array, args: ReadonlyArray<string>): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [soci, "ztoc", ...args], { stdio: ["pipe", "pipe", "pipe"] })
    const [stdout, stderr]: [Array<Buffer>, Array<Buffer>] = [[], []]
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk))
    child.on("close", (code) =>
      resume(
        Effect.succeed({ code: code ?? -1, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() })
      )
    )
    child.stdin.on("error", () => undefined)
    child.stdin.end(input)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const ztoc = (...args: ReadonlyArray<string>) => ztocWith(new Uint8Array(0), args)

const write = (directory: string, name: string, bytes: Uint8Array) =>
  Effect.promise(async () => {
    const file = path.join(directory, name)
    await fs.writeFile(file, bytes)
    return file
  })

const read = (file: string) => Effect.promise(() => fs.readFile(file))

const jobOf = (dump: string) => {
  const job = builtJobs.find((one) => one.dump === dump)
  if (job === undefined) throw new Error(`there is no vector ${dump}`)
  return job
}

const job = jobOf("tiny-spans.span4097.json")

/** A vector's layer and ztoc in files of their own. */
const vectorFiles = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const layer = yield* write(directory, "layer", readVector(job.layer))
  return { directory, layer, table: yield* write(directory, "table.ztoc", readVector(job.ztoc)) }
})

const failsWith = (ended: Ended, reason: string) => {
  assert.strictEqual(ended.code, 1)
  assert.match(ended.stderr, /^soci: [^\n]*\n$/)
  assert.include(ended.stderr, reason)
}

describe("soci ztoc build", () => {
  for (const { dump, layer, ztoc: expected, ...options } of [
    jobOf("tiny-spans.span4097.json"),
    ...builtJobs.filter(({ dump }) => dump.startsWith("tar-unknown.span4097")).slice(0, 1)
  ]) {
    it.live(`writes the ztoc that the reference writes, and prints its digest: ${dump}`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const file = yield* write(directory, "layer", readVector(layer))
        const output = path.join(directory, "out.ztoc")
        const args = ["--span-size", String(options.span_size), "--build-tool", options.build_tool_identifier]
        const ended = yield* ztoc("build", ...args, "--algorithm", options.algorithm, "-o", output, file)
        assert.strictEqual(ended.stderr, "")
        assert.strictEqual(ended.stdout.toString(), `${digestOf(readVector(expected))}\n`)
        assert.isTrue((yield* read(output)).equals(readVector(expected)))
        assert.sameMembers(yield* Effect.promise(() => fs.readdir(directory)), ["layer", "out.ztoc"])
      })
    )
  }

  it.live("finds out how standard input is compressed", () =>
    Effect.gen(function* () {
      const args = ["build", "--span-size", "4097", "-"]
      const ended = yield* ztocWith(readVector(job.layer), args)
      assert.strictEqual(ended.stdout.toString(), `${digestOf(readVector(job.ztoc))}\n`)
      failsWith(yield* ztocWith(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0), ["build", "-"]), "unsupported compression")
    })
  )

  it.live("leaves what was there when the layer is broken", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const layer = yield* write(directory, "layer", gzipSync(prose(1000)).subarray(0, 500))
      const output = yield* write(directory, "out.ztoc", Buffer.from("before"))
      failsWith(yield* ztoc("build", layer, "-o", output), "gzip error")
      failsWith(yield* ztoc("build", path.join(directory, "missing")), "missing: ENOENT")
      assert.strictEqual((yield* read(output)).toString(), "before")
      assert.sameMembers(yield* Effect.promise(() => fs.readdir(directory)), ["layer", "out.ztoc"])
    })
  )
})

describe("soci ztoc, interrupted", () => {
  it.live("ends with 130 and leaves no part of a file", () =>
    Effect.gen(function* () {
      const { directory, table, layer } = yield* vectorFiles
      const building = ["build", "-o", path.join(directory, "out"), "-"]
      const code = yield* Effect.callback<number | null>((resume) => {
        const child = spawn(process.execPath, [soci, "ztoc", ...building], { stdio: ["pipe", "ignore", "ignore"] })
        child.on("close", (ended) => resume(Effect.succeed(ended)))
        // The pipe holds less than this: once it is taken, the build has begun.
        child.stdin.write(gzipSync(noise(4_000_000)).subarray(0, 2_000_000), () => child.kill("SIGINT"))
        return Effect.sync(() => child.kill("SIGKILL"))
      })
      assert.strictEqual(code, 130)
      assert.sameMembers(
        yield* Effect.promise(() => fs.readdir(directory)),
        [table, layer].map((file) => path.basename(file))
      )
    })
  )
})

describe("soci ztoc verify", () => {
  it.live("says what it has checked", () =>
    Effect.gen(function* () {
      const { table, layer } = yield* vectorFiles
      const ended = yield* ztoc("verify", table, layer)
      assert.deepStrictEqual([ended.code, ended.stdout.toString()], [0, "ok: 3 spans, 2 files\n"])
    })
  )

  for (const [vector, reason] of [
    ["layer-flip-span1.layer", "span 1 of layer"],
    ["layer-flip-method.layer", "no gzip header"],
    ["layer-truncated.layer", "compressed_archive_size"]
  ] as const) {
    it.live(`ends with 1 and the first finding: ${vector}`, () =>
      Effect.gen(function* () {
        const { directory, table } = yield* vectorFiles
        const damaged = yield* write(directory, vector, readVector(`negative/${vector}`))
        failsWith(yield* ztoc("verify", table, damaged), reason)
      })
    )
  }
})

describe("soci ztoc info", () => {
  it.live("prints what is in a file, or in the content store", () =>
    Effect.gen(function* () {
      const { directory, table } = yield* vectorFiles
      const ended = yield* ztoc("info", table)
      const dump = readDump(job)
      const info: unknown = JSON.parse(ended.stdout.toString())
      assert.deepInclude(info, { version: "0.9", num_spans: dump.max_span_id + 1, span_size: 4097, num_files: 2 })

      const bytes = readVector(job.ztoc)
      const digest = digestOf(bytes)
      const store = path.join(directory, "root", "content")
      yield* Effect.promise(() => fs.mkdir(path.join(store, "blobs", "sha256"), { recursive: true }))
      yield* write(store, "oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}'))
      yield* write(store, "index.json", Buffer.from('{"schemaVersion":2,"manifests":[]}'))
      yield* write(path.join(store, "blobs", "sha256"), hexOf(digest), bytes)
      const root = path.join(directory, "root")
      const rows = [
        ztocEntry("of this", { digest, size: bytes.length }),
        ztocEntry("of none"),
        indexEntry("index"),
        prefetchEntry("prefetch")
      ]
      yield* ArtifactsDb.use((db) => Effect.forEach(rows, db.write)).pipe(
        Effect.provide(ArtifactsDbSqlite.layer({ path: path.join(root, "artifacts.sqlite") }))
      )
      const stored = yield* ztoc("info", "--root", root, "--content-store", "soci", digest)
      assert.strictEqual(stored.stderr, "")
      assert.isTrue(stored.stdout.equals(ended.stdout))

      const refused = (text: string) => ztoc("info", "--root", root, "--content-store", "soci", text)
      const other = digestOf(Buffer.from("another"))
      failsWith(yield* refused(other), `couldn't retrieve artifact for ${other}, not found`)
      failsWith(
        yield* refused(indexEntry("index").digest),
        "the provided digest belongs to a SOCI index. Use `soci index info` to get the detailed information about it"
      )
      const gone = ztocEntry("of none").digest
      failsWith(yield* refused(gone), `content digest ${gone}: not found`)
      failsWith(yield* refused("sha256:00"), "invalid checksum digest length")
      failsWith(yield* refused(""), "invalid checksum digest format")
    })
  )

  it.live("says that a file is no ztoc", () =>
    Effect.gen(function* () {
      failsWith(yield* ztoc("info", (yield* vectorFiles).layer), "cannot unmarshal ztoc")
    })
  )
})

describe("soci ztoc get-file", () => {
  it.live("gives a file to standard output with a newline, or to a file without", () =>
    Effect.gen(function* () {
      const { directory, table, layer } = yield* vectorFiles
      for (const { name, sha256 } of readDump(job).extract_file ?? []) {
        if (name === undefined || sha256 === undefined) continue
        const printed = yield* ztoc("get-file", "--layer", layer, table, name)
        assert.strictEqual(printed.stderr, "")
        assert.strictEqual(digestOf(printed.stdout.subarray(0, -1)), `sha256:${sha256}`)
        assert.strictEqual(printed.stdout.at(-1), 10)
        const output = path.join(directory, "out")
        yield* ztoc("get-file", "--layer", layer, "-o", output, table, name)
        assert.strictEqual(digestOf(yield* read(output)), `sha256:${sha256}`)
      }
    })
  )

  it.live("says what is missing: the name, or the layer", () =>
    Effect.gen(function* () {
      const { table, layer } = yield* vectorFiles
      const ended = yield* ztoc("get-file", "--layer", layer, table, "/absent")
      failsWith(ended, "file /absent does not exist in metadata")
      assert.strictEqual(ended.stdout.length, 0)
      failsWith(yield* ztoc("get-file", table, "x"), "give the layer's file with --layer")
      failsWith(yield* ztoc("get-file", table), "please provide both a ztoc digest and a filename to extract")
    })
  )
})

const blanks = (length: number) => " ".repeat(length)

describe("soci ztoc list", () => {
  const rootWithRows = Effect.gen(function* () {
    const root = yield* temporaryDirectory
    yield* ArtifactsDb.use((db) =>
      Effect.forEach([ztocEntry("one", { size: 165_632 }), ztocEntry("two"), indexEntry("index")], db.write)
    ).pipe(Effect.provide(ArtifactsDbSqlite.layer({ path: path.join(root, "artifacts.sqlite") })))
    return root
  })

  const ztocsInOrder = [ztocEntry("one", { size: 165_632 }), ztocEntry("two")].toSorted((a, b) =>
    a.digest < b.digest ? -1 : 1
  )

  it.live("prints the ztocs of the data base in a table, and no other artifacts", () =>
    Effect.gen(function* () {
      const ended = yield* ztoc("list", "--root", yield* rootWithRows)
      const lines = ztocsInOrder.map(
        ({ digest, size, originalDigest }) => `${digest}    ${String(size).padEnd(10)}${originalDigest}    \n`
      )
      const header = `DIGEST${blanks(69)}SIZE${blanks(6)}LAYER DIGEST${blanks(63)}\n`
      assert.strictEqual(ended.stdout.toString(), header + lines.join(""))
      assert.strictEqual(ended.code, 0)
    })
  )

  it.live("prints one of them, or digests alone", () =>
    Effect.gen(function* () {
      const root = yield* rootWithRows
      const [first] = ztocsInOrder
      const one = yield* ztoc("ls", "-q", "--root", root, "--ztoc-digest", first?.digest ?? "")
      assert.strictEqual(one.stdout.toString(), `${first?.digest}\n`)
      const all = yield* ztoc("ls", "-q", "--root", root)
      assert.strictEqual(all.stdout.toString(), ztocsInOrder.map(({ digest }) => `${digest}\n`).join(""))
      failsWith(yield* ztoc("ls", "--root", root, "--ztoc-digest", "sha256:none"), "the specified ztoc doesn't exist")
    })
  )

  it.live("makes the root it is given, not its parents", () =>
    Effect.gen(function* () {
      const root = path.join(yield* temporaryDirectory, "root")
      assert.strictEqual((yield* ztoc("ls", "-q", "--root", root)).code, 0)
      failsWith(yield* ztoc("ls", "--root", path.join(root, "no", "parent")), "no such file or directory")
    })
  )

  it.live("is a JSON array for machines", () =>
    Effect.gen(function* () {
      const listed: unknown = JSON.parse((yield* ztoc("ls", "--json", "--root", yield* rootWithRows)).stdout.toString())
      assert.deepStrictEqual(
        listed,
        ztocsInOrder.map(({ digest, size, originalDigest }) => ({
          Digest: digest,
          Size: size,
          LayerDigest: originalDigest,
          SpanSize: 65_536,
          CreatedAt: "2023-11-14T22:13:20.123Z"
        }))
      )
    })
  )
})
