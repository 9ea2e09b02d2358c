/**
 * Pushes an image with its SOCI index to Debian's docker-registry, beside `skopeo copy` of the same blobs: medians of 5 rounds, by turns.
 * Each push goes to a registry of its own, so that neither finds anything there.
 *
 *   npm run bench push [DIRECTORY]
 *
 * Everything is made in a temporary directory below DIRECTORY, which is removed at the end.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { mkdtempSync, readFileSync, rmSync, statSync, readdirSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as ContentStoreLayout from "../src/layers/ContentStoreLayout.ts"
import * as GraphPusherLive from "../src/layers/GraphPusherLive.ts"
import * as RegistryFetcherHttp from "../src/layers/RegistryFetcherHttp.ts"
import { ContentStore } from "../src/services/ContentStore.ts"
import type { Descriptor } from "../src/services/Descriptor.ts"
import { GraphPusher } from "../src/services/GraphPusher.ts"
import { dockerRegistry } from "../test/support/dockerRegistry.ts"
import { machineImage } from "./convert/images.ts"
import { Figures, printTarget } from "./ztoc/figures.ts"
import { runProcess } from "./ztoc/measuredProcess.ts"

const rounds = 5
const layerSizes = [200e6, 200e6, 200e6]

const soci = fileURLToPath(new URL("../src/main/soci.ts", import.meta.url))

const convert = (from: string, to: string) => {
  const flags = ["--standalone", "--json", "--format", "oci-dir", "--min-layer-size", "0"]
  return runProcess(process.execPath, soci, "convert", ...flags, from, to)
}

const pushByUs = (layout: string, root: Descriptor, host: string) =>
  Effect.gen(function* () {
    const store = yield* ContentStore
    const content = { readDocument: store.readDocument, readBlob: store.read }
    yield* GraphPusher.use((pusher) =>
      pusher.push(content, root, { host, repository: "app" }, { concurrency: 3, tag: "soci" })
    )
  }).pipe(
    Effect.provide(
      Layer.merge(
        ContentStoreLayout.layer({ root: layout, readOnly: true }),
        Layer.provide(GraphPusherLive.layer, RegistryFetcherHttp.layer())
      )
    )
  )

const pushBySkopeo = (layout: string, host: string) =>
  runProcess("skopeo", "copy", "--all", "--dest-tls-verify=false", `oci:${layout}`, `docker://${host}/app:soci`)

/** To a registry that has nothing, and is not counted. */
const intoEmpty = <E>(figures: Figures, name: string, push: (host: string) => Effect.Effect<void, E>) =>
  Effect.scoped(Effect.flatMap(dockerRegistry(), ({ host }) => figures.time(name, push(host))))

const program = Effect.gen(function* () {
  const work = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(path.join(process.argv[2] ?? tmpdir(), "effect-soci-bench-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )
  const image = yield* machineImage(work, "plain image", layerSizes)
  const layout = path.join(work, "converted")
  yield* convert(image.layout, layout)
  const blobs = readdirSync(path.join(layout, "blobs", "sha256")).map((name) =>
    path.join(layout, "blobs", "sha256", name)
  )
  const megabytes = blobs.reduce((sum, file) => sum + statSync(file).size, 0) / 1e6
  const index: { readonly manifests: readonly [Descriptor] } = JSON.parse(
    readFileSync(path.join(layout, "index.json"), "utf8")
  )
  const [root] = index.manifests
  console.log(`pushed: ${blobs.length} blobs, ${megabytes.toFixed(0)} MB`)

  const figures = new Figures()
  for (let round = 0; round < rounds; round++) {
    yield* intoEmpty(figures, "skopeo copy", (host) => pushBySkopeo(layout, host))
    yield* intoEmpty(figures, "our push", (host) => pushByUs(layout, root, host))
  }
  figures.print()
  console.log(`\nload average ${loadavg()[0]?.toFixed(1)}`)
  printTarget("our push / skopeo copy", figures.median("our push") / figures.median("skopeo copy"), 1)
})

program.pipe(Effect.scoped, NodeRuntime.runMain)
