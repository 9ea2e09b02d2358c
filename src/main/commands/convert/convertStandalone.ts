/**
 * The work of `soci convert --standalone`: from and to files or registries, without containerd and without a root directory.
 */
import { Context, Effect, Layer, type Option } from "effect"
import * as path from "node:path"
import * as ArtifactsDbSqlite from "../../../layers/ArtifactsDbSqlite.ts"
import { writeArchive } from "../../../layers/standalone/writeArchive.ts"
import { writeLayoutDirectory } from "../../../layers/standalone/writeLayoutDirectory.ts"
import { ArtifactsDb } from "../../../services/ArtifactsDb.ts"
import type { Descriptor } from "../../../services/Descriptor.ts"
import type { PushEvent } from "../../../services/GraphPusher.ts"
import type { RegistryReference } from "../../../services/ImageName.ts"
import { builtContent } from "../../builtContent.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { countedContent, finishUpload } from "../../progress/countedContent.ts"
import { makeProgressBars, type ProgressBars, standardError } from "../../progress/ProgressBars.ts"
import type { Registries, RegistryFlags } from "../../registryServices.ts"
import { openIndexBuilder } from "../../indexBuilding.ts"
import { readOptimizations, required } from "../buildOptions.ts"
import { reportBuild } from "../buildReport.ts"
import { printJson } from "../printJson.ts"
import { pushEventLine } from "../push/pushEventLine.ts"
import { uploadsAtOnce } from "../push/uploadsAtOnce.ts"
import { type ConversionInput, openConversionInput, type Place, readPlace } from "./conversionInput.ts"
import { convertedJson, convertedPlatforms, type ConvertOptions, readConversionOptions } from "./convertStored.ts"

export type OutputFormat = "oci-archive" | "oci-dir"

export interface StandaloneConvertOptions extends ConvertOptions, RegistryFlags {
  readonly format: Option.Option<OutputFormat>
  readonly maxConcurrentUploads: bigint
}

/** Pushes the converted image under its tag, with everything the registry does not have. */
const pushConverted = Effect.fnUntraced(function* (
  { pusher }: Registries,
  { image, store, repository }: ConversionInput,
  root: Descriptor,
  reference: RegistryReference,
  options: StandaloneConvertOptions,
  bars: ProgressBars["Service"]
) {
  const concurrency = yield* uploadsAtOnce(options.maxConcurrentUploads)
  const onEvent = (event: PushEvent) =>
    Effect.andThen(
      options.json ? Effect.void : bars.print(pushEventLine(event)),
      event._tag === "Pushing" ? Effect.void : finishUpload(bars, event.descriptor)
    )
  const tag = reference.tag === undefined ? {} : { tag: reference.tag }
  const content = countedContent(builtContent(store, image), bars)
  const mountFrom = repository?.host === reference.host ? { mountFrom: repository.repository } : {}
  yield* pusher.push(content, root, reference, { concurrency, onEvent, ...tag, ...mountFrom })
})

/** `--user` is for where the image is written, if that is a registry, and never for both. */
const hostOfUser = (from: Place, to: Place): string | undefined =>
  to._tag === "Registry" ? to.reference.host : from._tag === "Registry" ? from.reference.host : undefined

export const convertStandalone = Effect.fn("soci.convert.standalone")(function* (options: StandaloneConvertOptions) {
  const source = yield* required(options.source, "source image needs to be specified")
  const destination = yield* required(options.destination, "destination needs to be specified")
  const xattrOptimization = yield* readOptimizations(options.optimizations)
  const buildOptions = yield* readConversionOptions(options, xattrOptimization)
  const [from, to] = [yield* readPlace(source), yield* readPlace(destination)]
  if (to._tag === "Registry" && options.format._tag === "Some") {
    return yield* new CommandRefused({ reason: `--format is for files: ${destination} is in a registry` })
  }
  if (to._tag === "Registry" && to.reference.digest !== undefined) {
    return yield* new CommandRefused({ reason: `${destination}: a converted image gets a tag, not a digest` })
  }
  const bars = yield* makeProgressBars(standardError)
  const registries = yield* Effect.cached(
    Effect.flatMap(
      Effect.promise(() => import("../../registryServices.ts")),
      ({ openRegistries }) => openRegistries({ ...options, userHost: hostOfUser(from, to) }, bars.note)
    )
  )
  const input = yield* openConversionInput(from, to, registries, bars)
  const platforms = yield* convertedPlatforms(input.image, options)
  const database = yield* Layer.build(ArtifactsDbSqlite.layer({ path: path.join(input.scratch, "artifacts.sqlite") }))
  const builder = yield* openIndexBuilder(input.store, Context.get(database, ArtifactsDb))
  const onEvent = reportBuild(bars, options)
  const converted = yield* builder.convert(input.image, platforms, { ...buildOptions, onEvent })
  if (to._tag === "Registry") {
    yield* pushConverted(yield* registries, input, converted.descriptor, to.reference, options, bars)
  } else if (options.format._tag === "Some" && options.format.value === "oci-dir") {
    yield* writeLayoutDirectory(input.store, converted.descriptor, to.path)
  } else {
    yield* writeArchive(input.store, converted.descriptor, to.path)
  }
  if (options.json) return yield* printJson(convertedJson(source, destination, converted))
  yield* bars.note(`converted image ${converted.descriptor.digest} is ${destination}`)
}, Effect.scoped)
