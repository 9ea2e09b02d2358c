/**
 * Whether an image can be had lazily: it is resolved, a piece from the middle of a layer is read, and its SOCI index looked for, each as a mount
 * would do it.
 */
import { Effect, Layer, Option, type Redacted, Stream } from "effect"
import * as ArtifactSourceLive from "../../layers/ArtifactSourceLive.ts"
import { hostPlatform } from "../../layers/hostPlatform.ts"
import * as ImageSourceLive from "../../layers/ImageSourceLive.ts"
import { dockerCredentials } from "../../layers/registry/dockerCredentials.ts"
import type { ExchangeEvent } from "../../layers/registry/exchangeLog.ts"
import { type RegistryFlags, registryOptionsFromFlags } from "../../layers/registry/registryFlags.ts"
import * as RegistryFetcherHttp from "../../layers/RegistryFetcherHttp.ts"
import { resolvePlatform } from "../../layers/resolvePlatform.ts"
import { ArtifactSource, type PlatformManifest } from "../../services/ArtifactSource.ts"
import { type LocatedImageName, parseImageName, type RegistryReference } from "../../services/ImageName.ts"
import { ImageSource, type SourceImage } from "../../services/ImageSource.ts"
import { MediaType } from "../../services/MediaType.ts"
import { causeMessage } from "../../services/causeMessage.ts"
import { type Configuration, readConfiguration } from "./credentialFindings.ts"
import { broken, type Finding, found, missing, type Subject } from "./Finding.ts"

const image: Subject = { subject: "image", needed: true }
const ranges: Subject = { subject: "ranged reads", needed: true }
const credentials: Subject = { subject: "credentials", needed: false }
const referrers: Subject = { subject: "referrers", needed: false }
const index: Subject = { subject: "SOCI index", needed: false }

export interface ExaminedImage {
  readonly name: string
  readonly flags: RegistryFlags & { readonly user: Redacted.Redacted | undefined }
}

const orBroken =
  (subject: Subject, remedy: string) =>
  <R>(finding: Effect.Effect<Finding, { readonly message: string }, R>): Effect.Effect<Finding, never, R> =>
    Effect.catch(finding, (error) => Effect.succeed(broken(subject, error.message, remedy)))

/** Docker's configuration asks a helper first. */
const dockerSource = Effect.fnUntraced(function* (host: string) {
  const configuration = yield* Effect.option(readConfiguration)
  const { credHelpers = {}, credsStore } = Option.getOrElse(Option.flatten(configuration), (): Configuration => ({}))
  const helper = Object.hasOwn(credHelpers, host) ? credHelpers[host] : credsStore
  return helper === undefined || helper === "" ? "auths" : `helper ${helper}, then auths`
})

/** The secret itself is in nothing that is printed. */
const credentialFinding = Effect.fnUntraced(function* (name: RegistryReference, user: Redacted.Redacted | undefined) {
  const { host } = name
  if (user !== undefined) return found(credentials, `those of --user for ${host}`)
  const source = yield* dockerSource(host)
  return Option.isSome(yield* dockerCredentials(undefined)(host, name))
    ? found(credentials, `those of docker's configuration for ${host} (${source})`)
    : missing(
        credentials,
        `none for ${host} in docker's configuration (${source}): it is asked as anybody`,
        `docker login ${host}, or --user`
      )
})

const piece = 4096

const rangeFinding = Effect.fnUntraced(function* (source: SourceImage, { manifest }: PlatformManifest) {
  const layer = (manifest.layers ?? []).toSorted((a, b) => b.size - a.size)[0]
  if (layer === undefined || layer.size === 0) return found(ranges, "the image has no layer to read from")
  const blob = yield* source.openBlob(layer)
  const length = Math.min(piece, layer.size)
  const offset = Math.floor((layer.size - length) / 2)
  const bytes = yield* Stream.runFold(
    blob.read(offset, length),
    () => 0,
    (sum, chunk) => sum + chunk.length
  )
  return found(ranges, `${bytes} bytes from the middle of layer ${layer.digest}`)
}, Effect.scoped)

/** Which way the registry lists what refers to a manifest, by its answer to the first question. */
const referrersFinding = Effect.fnUntraced(function* (
  source: SourceImage,
  { descriptor }: PlatformManifest,
  statuses: ReadonlyMap<string, number>
) {
  const listed = yield* source.referrers(descriptor.digest, MediaType.sociIndexV1)
  const status = [...statuses].find(([url]) => url.includes("/referrers/"))?.[1]
  const way = status === 200 ? "the referrers API" : "the referrers tag, as the registry has no referrers API"
  const detail = source.name._tag === "Registry" ? `by ${way}` : "in the layout's index"
  return found(referrers, `${detail}; ${listed.length} SOCI index${listed.length === 1 ? "" : "es"} (v1)`)
})

const indexFinding = Effect.fnUntraced(function* (source: SourceImage, manifest: PlatformManifest) {
  const { index: loaded, origin } = yield* ArtifactSource.use((artifacts) =>
    artifacts.find(source, manifest, { indexDigest: undefined })
  )
  return found(index, `${loaded.descriptor.digest} (${origin})`)
})

const examine = Effect.fnUntraced(function* (
  name: LocatedImageName,
  examined: ExaminedImage,
  statuses: ReadonlyMap<string, number>
) {
  const own = name._tag === "Registry" ? [yield* credentialFinding(name, examined.flags.user)] : []
  const source = yield* ImageSource.use((images) => images.find(name))
  const manifest = yield* resolvePlatform(source, hostPlatform)
  return [
    found(image, `${examined.name} is ${source.target.digest}`),
    ...own,
    yield* rangeFinding(source, manifest).pipe(
      orBroken(ranges, "a registry, or a proxy before it, that serves ranges: without them nothing is lazy")
    ),
    yield* referrersFinding(source, manifest, statuses).pipe(orBroken(referrers, "see the registry's log")),
    yield* indexFinding(source, manifest).pipe(
      Effect.catchTag("NoIndex", (error) =>
        Effect.succeed(missing(index, error.message, "soci create and soci push, or soci convert"))
      ),
      orBroken(index, "build it again: soci create --force, or soci convert")
    )
  ]
}, Effect.scoped)

export const registryFindings = (examined: ExaminedImage): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const statuses = new Map<string, number>()
    const onExchange = (event: ExchangeEvent) =>
      Effect.sync(() => {
        if (event._tag === "Response") statuses.set(event.url, event.status)
      })
    const name = yield* Effect.fromResult(parseImageName(examined.name))
    const options = yield* Effect.fromResult(registryOptionsFromFlags(examined.flags, () => Effect.void))
    const images = ImageSourceLive.layer.pipe(Layer.provide(RegistryFetcherHttp.layer({ ...options, onExchange })))
    return yield* Effect.provide(examine(name, examined, statuses), [images, ArtifactSourceLive.layer])
  }).pipe(
    Effect.catch((error) =>
      Effect.succeed([
        broken(image, causeMessage(error), "check the name, the network, and `docker login`; --plain-http without TLS")
      ])
    )
  )
