/**
 * Uploads manifests, and sees to it that those with a subject are found as its referrers.
 */
import { Effect, Result } from "effect"
import type { Descriptor } from "../../services/Descriptor.ts"
import { isIndexType } from "../../services/MediaType.ts"
import type { RegistryFetcher, Repository } from "../../services/RegistryFetcher.ts"
import { decodeImageIndex, decodeManifest } from "../../streams/codec/imageDocuments.ts"
import { verifyBytes } from "../../streams/verify.ts"
import { withDeadline } from "./deadline.ts"
import { putManifest } from "./documents.ts"
import { listByApi } from "./referrers.ts"
import { enterReferrer } from "./referrersTag.ts"
import type { RegistryClient } from "./registryClient.ts"
import { asRegistryError, purposeOf, registryFailed } from "./registryErrors.ts"
import { makeSlots } from "./slots.ts"

/** A manifest as a list of referrers shows it, and its subject. */
const referrerOf = ({ mediaType, digest, size }: Descriptor, bytes: Uint8Array) => {
  const manifest = isIndexType(mediaType) ? undefined : Result.getOrUndefined(decodeManifest(bytes))
  const document = manifest ?? Result.getOrUndefined(decodeImageIndex(bytes))
  if (document?.subject === undefined) return undefined
  const artifactType = document.artifactType || manifest?.config.mediaType
  const descriptor: Descriptor = {
    mediaType,
    digest,
    size,
    ...(document.annotations === undefined ? {} : { annotations: document.annotations }),
    ...(artifactType === undefined ? {} : { artifactType })
  }
  return { subject: document.subject.digest, descriptor }
}

export const makePushManifest = (client: RegistryClient): RegistryFetcher["Service"]["pushManifest"] => {
  // One change of a tag at a time from here: only other clients can get between.
  const takeTurn = makeSlots(1)

  return Effect.fn("RegistryFetcher.pushManifest")(function* (
    repository: Repository,
    descriptor: Descriptor,
    bytes: Uint8Array,
    tag?: string
  ) {
    const purpose = purposeOf("push", repository, tag ?? descriptor.digest)
    const verified = verifyBytes(bytes, descriptor, "the manifest to push")
    if (Result.isFailure(verified)) return yield* registryFailed(purpose, verified.failure.message)
    const push = Effect.gen(function* () {
      const headers = yield* putManifest(client, purpose, descriptor.mediaType, bytes)
      const referrer = referrerOf(descriptor, bytes)
      if (referrer === undefined || headers["oci-subject"] !== undefined) return
      const { subject } = referrer
      const asked = purposeOf("push", repository, subject)
      const [endpoint] = yield* client.endpoints(repository.host, "push")
      if ((yield* listByApi(client, endpoint, asked)) !== undefined) return
      const turn = takeTurn(`${repository.host}/${repository.repository}@${subject}`)
      yield* enterReferrer(client, endpoint, asked, subject, referrer.descriptor, turn)
    })
    yield* push.pipe(asRegistryError(purpose), withDeadline(client.settings, purpose, descriptor.size))
  })
}
