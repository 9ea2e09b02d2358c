/**
 * The work of `soci push`: the newest v1 index of each platform, with its ztocs, to the repository of the image.
 */
import { Effect, type Option } from "effect"
import { hostPlatform } from "../../../layers/hostPlatform.ts"
import { ContentNotFound } from "../../../services/ContentStore.ts"
import type { Descriptor, Digest } from "../../../services/Descriptor.ts"
import type { PushEvent } from "../../../services/GraphPusher.ts"
import { MediaType } from "../../../services/MediaType.ts"
import type { Repository } from "../../../services/RegistryFetcher.ts"
import { formatPlatform } from "../../../streams/codec/platform.ts"
import { builtContent } from "../../builtContent.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { countedContent, finishUpload } from "../../progress/countedContent.ts"
import { makeProgressBars, type ProgressBars, standardError } from "../../progress/ProgressBars.ts"
import { openRegistries, type Registries, type RegistryFlags } from "../../registryServices.ts"
import { openArtifactsDb, openContainerd, openContentStore } from "../../stores.ts"
import { required } from "../buildOptions.ts"
import { choosePlatforms, type PlatformOptions } from "../platformChoice.ts"
import { printJson } from "../printJson.ts"
import { contentMissing } from "../storedArtifact.ts"
import { type ChosenIndex, chooseIndexes, v2Warning } from "./chooseIndexes.ts"
import { type ExistingIndexMode, foundText, readMode } from "./existingIndex.ts"
import { pushEventLine } from "./pushEventLine.ts"
import { readRepository } from "./readRepository.ts"
import { uploadsAtOnce } from "./uploadsAtOnce.ts"

export interface PushOptions extends RegistryFlags, PlatformOptions {
  readonly image: Option.Option<string>
  readonly existingIndex: string
  readonly maxConcurrentUploads: bigint
  readonly quiet: boolean
  readonly json: boolean
}

/** What a push says. `say` is for what `-q` leaves out; `always` for what it does not; with `--json` both are silent. */
interface Voice {
  readonly say: (line: string) => Effect.Effect<void>
  readonly always: (line: string) => Effect.Effect<void>
  /** What was asked for by `--debug`; not part of the result. */
  readonly trace: (line: string) => Effect.Effect<void>
}

const voiceOf = (bars: ProgressBars["Service"], { quiet, json }: PushOptions): Voice => ({
  say: (line) => (quiet || json ? Effect.void : bars.print(line)),
  always: (line) => (json ? Effect.void : bars.print(line)),
  trace: json ? bars.note : bars.print
})

const failed =
  (what: string) =>
  (error: Error): CommandRefused =>
    new CommandRefused({ reason: `${what}: ${error.message}` })

/** What the reference says where content is no longer in the store. */
const pushFailed = (error: Error): CommandRefused =>
  error instanceof ContentNotFound
    ? failed('error pushing graph to remote: failed to perform "FindSuccessors" on source')(
        contentMissing(error.reference)
      )
    : failed("error pushing graph to remote")(error)

/** Says once that the registry lacks the image, which goes there too: an index of nothing is of no use. */
const imageNotice = (bars: ProgressBars["Service"], image: string, manifest: Digest) => {
  let isSaid = false
  return ({ _tag, descriptor }: PushEvent): Effect.Effect<void> => {
    if (_tag !== "Pushing" || isSaid || descriptor.digest !== manifest) return Effect.void
    isSaid = true
    return bars.note(`the registry does not have image manifest ${manifest}: ${image} was uploaded as well`)
  }
}

interface Pushing {
  readonly registries: Registries
  readonly repository: Repository
  readonly mode: ExistingIndexMode
  readonly voice: Voice
  readonly push: (chosen: ChosenIndex) => Effect.Effect<void, CommandRefused>
}

/** The result for one platform, as `--json` shows it. */
const pushOne = Effect.fnUntraced(function* (pushing: Pushing, chosen: ChosenIndex) {
  const { registries, repository, mode, voice } = pushing
  const { manifest, index, platform } = chosen
  let existing: ReadonlyArray<Descriptor> = []
  if (mode !== "allow") {
    yield* voice.say("checking if a soci index already exists in remote repository...")
    existing = yield* Effect.mapError(
      registries.registry.referrers(repository, manifest.digest, MediaType.sociIndexV1),
      failed("failed to fetch list of referrers")
    )
  }
  const result = {
    Platform: formatPlatform(platform),
    ManifestDigest: manifest.digest,
    IndexDigest: index.digest,
    ExistingIndexes: existing.map(({ digest }) => digest)
  }
  if (existing.length > 0 && mode === "skip") {
    yield* voice.say(`${foundText(existing)}: skipping pushing artifacts for image manifest: ${manifest.digest}`)
    return { ...result, Pushed: false }
  }
  if (existing.length > 0) yield* voice.always(`[WARN] ${foundText(existing)}: pushing index anyway`)
  yield* pushing.push(chosen)
  return { ...result, Pushed: true }
})

export const pushIndexes = Effect.fn("soci.push")(function* (options: PushOptions) {
  const name = yield* required(options.image, "please provide an image reference to push")
  const containerd = yield* openContainerd
  const image = yield* containerd.find(name)
  const platforms = yield* choosePlatforms(image, options, Effect.succeed([hostPlatform]))
  const artifacts = yield* openArtifactsDb
  const repository = yield* readRepository(name)
  const { store } = yield* openContentStore(containerd)
  const mode = yield* readMode(options.existingIndex)
  const bars = yield* makeProgressBars(standardError)
  const voice = voiceOf(bars, options)
  const concurrency = yield* uploadsAtOnce(options.maxConcurrentUploads)
  const chosen = yield* chooseIndexes(artifacts, image, platforms, voice.always(v2Warning))
  const registries = yield* openRegistries(options, voice.trace)
  const content = countedContent(builtContent(store, image), bars)

  const push = Effect.fnUntraced(function* ({ index, manifest }: ChosenIndex) {
    yield* voice.say(`pushing soci index with digest: ${index.digest}`)
    if (options.quiet) yield* voice.always(index.digest)
    const notice = imageNotice(bars, name, manifest.digest)
    const onEvent = (event: PushEvent) =>
      Effect.all(
        [
          voice.say(pushEventLine(event)),
          notice(event),
          event._tag === "Pushing" ? Effect.void : finishUpload(bars, event.descriptor)
        ],
        { discard: true }
      )
    yield* Effect.mapError(registries.pusher.push(content, index, repository, { concurrency, onEvent }), pushFailed)
  })

  const results = yield* Effect.forEach(chosen, (one) => pushOne({ registries, repository, mode, voice, push }, one))
  if (options.json) {
    yield* printJson({ Image: name, Repository: `${repository.host}/${repository.repository}`, Indexes: results })
  }
}, Effect.scoped)
