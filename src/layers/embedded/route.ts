/**
 * Which endpoint of the distribution specification a path means. Names and digests are checked here: what comes out is safe to use.
 */
import { Schema } from "effect"
import { Digest } from "../../services/Descriptor.ts"

export interface InRepository {
  readonly repository: string
}

export type Route =
  | { readonly _tag: "Base" }
  | (InRepository & { readonly _tag: "Blob"; readonly digest: Digest })
  | (InRepository & { readonly _tag: "Manifest"; readonly reference: string; readonly digest: Digest | undefined })
  | (InRepository & { readonly _tag: "Uploads" })
  | (InRepository & { readonly _tag: "Upload"; readonly session: string })
  | (InRepository & { readonly _tag: "Tags" })
  | (InRepository & { readonly _tag: "Referrers"; readonly subject: Digest })

/** An error code of the distribution specification. */
export type ErrorCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "SIZE_INVALID"
  | "TOOMANYREQUESTS"
  | "UNSUPPORTED"
  | "INTERNAL"

const maxNameLength = 255
const namePattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const sessionPattern = /^[0-9a-f]{32}$/

const endpoint = /^\/v2\/(.+)\/(?:(blobs\/uploads)(?:\/([^/]*))?|(tags\/list)|(blobs|manifests|referrers)\/([^/]+))$/

const isRepositoryName = (name: string): boolean => name.length <= maxNameLength && namePattern.test(name)

const isDigest = Schema.is(Digest)

/** The route, or the code of what is wrong with the path; `undefined` for a path that is none of ours. */
export const parseRoute = (path: string): Route | ErrorCode | undefined => {
  if (path === "/v2" || path === "/v2/") return { _tag: "Base" }
  const [, repository = "", uploads, session, tags, kind, encoded = ""] = endpoint.exec(path) ?? []
  if (repository === "") return undefined
  if (!isRepositoryName(repository)) return "NAME_INVALID"
  if (tags !== undefined) return { _tag: "Tags", repository }
  if (uploads !== undefined) {
    if (!session) return { _tag: "Uploads", repository }
    return sessionPattern.test(session) ? { _tag: "Upload", repository, session } : "BLOB_UPLOAD_UNKNOWN"
  }
  const name = encoded.replace(/%3a/i, ":")
  if (kind === "manifests") {
    if (isDigest(name)) return { _tag: "Manifest", repository, reference: name, digest: name }
    return tagPattern.test(name)
      ? { _tag: "Manifest", repository, reference: name, digest: undefined }
      : "MANIFEST_UNKNOWN"
  }
  if (!isDigest(name)) return "DIGEST_INVALID"
  return kind === "blobs"
    ? { _tag: "Blob", repository, digest: name }
    : { _tag: "Referrers", repository, subject: name }
}
