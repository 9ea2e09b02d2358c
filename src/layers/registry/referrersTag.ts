/**
 * The tag under which referrers are listed where a registry has no API for them (distribution-spec 1.1, "Referrers Tag
 * Schema").
 */
import { Clock, Effect, Random, Result, type Scope } from "effect"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import type { ImageIndex } from "../../services/Image.ts"
import { MediaType } from "../../services/MediaType.ts"
import type { RegistryError } from "../../services/RegistryFetcher.ts"
import { decodeImageIndex, encodeImageIndex } from "../../streams/codec/imageDocuments.ts"
import { putManifest, readManifest } from "./documents.ts"
import type { ExchangeFailed } from "./exchangeFailed.ts"
import type { RegistryClient } from "./registryClient.ts"
import type { RegistryEndpoint } from "./registryEndpoint.ts"
import { type Purpose, registryFailed } from "./registryErrors.ts"

/** How often a tag is written that other clients overwrite at the same time. */
const maxWrites = 20

/** How long another client may take to write what it read before us: several times what we took, within limits. */
const settleFactor = 3
const minSettleMillis = 20
const maxSettleMillis = 2000

const referrersTag = (subject: Digest): string => subject.replace(":", "-")

export const decodeReferrers = (purpose: Purpose, bytes: Uint8Array): Effect.Effect<ImageIndex, RegistryError> => {
  const decoded = decodeImageIndex(bytes, "the list of referrers")
  return Result.isSuccess(decoded)
    ? Effect.succeed(decoded.success)
    : Effect.fail(registryFailed(purpose, decoded.failure.message))
}

const emptyReferrers: ImageIndex = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] }

/** The index under the referrers tag; an empty one where there is no such tag. */
export const readReferrersTag = (
  client: RegistryClient,
  endpoint: RegistryEndpoint,
  purpose: Purpose,
  subject: Digest
) =>
  readManifest(client, { ...purpose, reference: referrersTag(subject) }, endpoint).pipe(
    Effect.flatMap(({ bytes }) => decodeReferrers(purpose, bytes)),
    Effect.catchTag("NotInRegistry", (): Effect.Effect<ImageIndex> => Effect.succeed(emptyReferrers))
  )

/**
 * Enters a manifest under the referrers tag of its subject. Registries have no way to change a tag only if it is still
 * what was read. So we look again after a time in which a client that read before us will have written, and write again
 * if its change went over ours: of several clients that do so, none loses its entry. `turn` is held while the tag is
 * read and written: only other clients can get between.
 */
export const enterReferrer = (
  client: RegistryClient,
  endpoint: RegistryEndpoint,
  purpose: Purpose,
  subject: Digest,
  referrer: Descriptor,
  turn: Effect.Effect<void, never, Scope.Scope>
): Effect.Effect<void, RegistryError | ExchangeFailed> => {
  const tagged = { ...purpose, reference: referrersTag(subject) }
  const has = (index: ImageIndex) => (index.manifests ?? []).some(({ digest }) => digest === referrer.digest)

  const settle = Effect.fnUntraced(function* (tookMillis: number) {
    const millis = Math.min(maxSettleMillis, Math.max(minSettleMillis, settleFactor * tookMillis))
    yield* Effect.sleep(millis * (1 + (yield* Random.next)))
  })

  /** Whether there was something to write. */
  const write = Effect.gen(function* () {
    const current = yield* readReferrersTag(client, endpoint, purpose, subject)
    if (has(current)) return false
    const index = { ...emptyReferrers, ...current, manifests: [...(current.manifests ?? []), referrer] }
    yield* putManifest(client, tagged, MediaType.ociIndex, encodeImageIndex(index))
    return true
  })

  const attempt = (writes: number): Effect.Effect<void, RegistryError | ExchangeFailed> =>
    Effect.gen(function* () {
      const begun = yield* Clock.currentTimeMillis
      if (!(yield* Effect.scoped(Effect.andThen(turn, write)))) return
      if (writes === maxWrites) {
        return yield* registryFailed(tagged, "other clients kept overwriting the tag; push again")
      }
      yield* settle((yield* Clock.currentTimeMillis) - begun)
      yield* attempt(writes + 1)
    })
  return attempt(0)
}
