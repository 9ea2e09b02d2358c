/**
 * Which manifests of a repository refer to another: by the referrers API, or by the tag that stands in for it
 * (distribution-spec 1.1, "Listing Referrers").
 */
import { Effect, Result } from "effect"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import { maxDocumentBytes } from "../../services/Image.ts"
import { MediaType } from "../../services/MediaType.ts"
import type { RegistryFetcher, Repository } from "../../services/RegistryFetcher.ts"
import { withDeadline } from "./deadline.ts"
import { type Exchange, readBody } from "./exchange.ts"
import { decodeReferrers, readReferrersTag } from "./referrersTag.ts"
import type { RegistryClient } from "./registryClient.ts"
import type { RegistryEndpoint } from "./registryEndpoint.ts"
import { asRegistryError, type Purpose, purposeOf, registryFailed, unexpectedAnswer } from "./registryErrors.ts"
import { retrying } from "./retryPolicy.ts"

/** Pages and manifests that are read of one listing; a longer one is refused. */
const maxPages = 100
const maxReferrers = 10_000

/** The URL of the next page; pages lie where the first one did. */
const nextPage = (exchange: Exchange): string | undefined => {
  const target = /<([^>]{1,4096})>\s*;\s*rel="?next"?/.exec(exchange.headers["link"] ?? "")?.[1]
  const url = target === undefined ? null : URL.parse(target, exchange.url)
  return url !== null && url.origin === new URL(exchange.url).origin ? url.href : undefined
}

interface Page {
  readonly descriptors: ReadonlyArray<Descriptor>
  readonly next: string | undefined
}

const headers = { accept: MediaType.ociIndex }

const getPage = Effect.fnUntraced(function* (
  client: RegistryClient,
  endpoint: RegistryEndpoint,
  purpose: Purpose,
  path: string,
  url?: string
) {
  const { repository } = purpose
  const request = { method: "GET", ...repository, capability: "resolve", actions: "pull", path, headers } as const
  const exchange = yield* client.requestAt(endpoint, request, url)
  const type = exchange.headers["content-type"] ?? ""
  // Registries without the API, and proxies before them, answer this path with almost anything.
  if (exchange.status === 404 || (exchange.status === 200 && !type.startsWith(MediaType.ociIndex))) return undefined
  if (exchange.status !== 200) return yield* unexpectedAnswer(purpose, exchange)
  const { manifests } = yield* decodeReferrers(purpose, yield* readBody(exchange, maxDocumentBytes))
  return { descriptors: manifests ?? [], next: nextPage(exchange) } satisfies Page
}, Effect.scoped)

/** All pages of a server's referrers API; `undefined` where it has none. */
export const listByApi = Effect.fnUntraced(function* (
  client: RegistryClient,
  endpoint: RegistryEndpoint,
  purpose: Purpose,
  artifactType?: string
) {
  const query = artifactType === undefined ? "" : `?artifactType=${encodeURIComponent(artifactType)}`
  const path = `referrers/${purpose.reference}${query}`
  const page = (url?: string) => retrying(client.settings)(getPage(client, endpoint, purpose, path, url))
  const first = yield* page()
  if (first === undefined) return undefined
  const found: Array<Descriptor> = [...first.descriptors]
  let next = first.next
  for (let pages = 1; next !== undefined; pages++) {
    if (pages === maxPages || found.length > maxReferrers) {
      return yield* registryFailed(purpose, `more than ${maxPages} pages or ${maxReferrers} referrers`)
    }
    const more: Page | undefined = yield* page(next)
    if (more === undefined) return yield* registryFailed(purpose, `page ${pages + 1} of the referrers is missing`)
    found.push(...more.descriptors)
    next = more.next
  }
  return found
})

export const makeReferrers = (client: RegistryClient): RegistryFetcher["Service"]["referrers"] =>
  Effect.fn("RegistryFetcher.referrers")(function* (repository: Repository, subject: Digest, artifactType: string) {
    const purpose = purposeOf("referrers", repository, subject)
    const listAt = Effect.fnUntraced(function* (endpoint: RegistryEndpoint) {
      const listed = yield* listByApi(client, endpoint, purpose, artifactType)
      const all = listed ?? (yield* readReferrersTag(client, endpoint, purpose, subject)).manifests ?? []
      // A registry may leave the filter to its clients.
      return all.filter((descriptor) => descriptor.artifactType === artifactType)
    })
    const listing = Effect.gen(function* () {
      const endpoints = yield* client.endpoints(repository.host, "resolve")
      // A mirror may not know what was pushed to the registry since: only the last server's word is taken for that
      // there is nothing.
      for (const mirror of endpoints.slice(0, -1)) {
        const found = yield* Effect.result(listAt(mirror))
        if (Result.isFailure(found)) yield* client.avoid(mirror)
        else if (found.success.length > 0) return found.success
      }
      return yield* listAt(endpoints.at(-1) ?? endpoints[0])
    })
    return yield* listing.pipe(asRegistryError(purpose), withDeadline(client.settings, purpose))
  })
