/**
 * How a user names an image: a reference into a registry, or a place in an OCI image layout on disk.
 */
import { Result, Schema } from "effect"
import { Digest } from "./Descriptor.ts"

/** `host[:port]/path[:tag][@digest]`; no default registry and no default tag are applied (as containerd does). */
export interface RegistryReference {
  readonly _tag: "Registry"
  readonly host: string
  readonly repository: string
  readonly tag: string | undefined
  readonly digest: Digest | undefined
}

/** `oci-layout:PATH[:TAG|@DIGEST]`, or skopeo's `oci:PATH[:TAG]`. Without tag and digest: the layout's only image. */
export interface LayoutReference {
  readonly _tag: "Layout"
  readonly path: string
  readonly tag: string | undefined
  readonly digest: Digest | undefined
}

/** An image of containerd by the name it has there; any text. */
export interface StoredImageReference {
  readonly _tag: "Stored"
  readonly name: string
}

/** A name that says where the image is. */
export type LocatedImageName = RegistryReference | LayoutReference

export type ImageName = LocatedImageName | StoredImageReference

export class InvalidImageName extends Schema.TaggedError<InvalidImageName>()("InvalidImageName", {
  input: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return (
      `"${this.input}" is not an image: ${this.reason}. ` +
      `Expected host/repository:tag, host/repository@sha256:…, or oci-layout:PATH[:TAG|@DIGEST]`
    )
  }
}

/** The form of a host in a reference, and of a repository and a tag (distribution-spec, "Pulling manifests"). */
const hostPattern = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/
const repositoryPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

const isDigest = Schema.is(Digest)

export const parseImageName = (input: string): Result.Result<LocatedImageName, InvalidImageName> => {
  const layout = /^(oci-layout|oci):/.exec(input)
  return layout ? parseLayout(input, input.slice(layout[0].length)) : parseRegistry(input)
}

export const formatImageName = (name: ImageName): string => {
  if (name._tag === "Stored") return name.name
  const object = (name.tag === undefined ? "" : `:${name.tag}`) + (name.digest === undefined ? "" : `@${name.digest}`)
  return name._tag === "Registry" ? `${name.host}/${name.repository}${object}` : `oci-layout:${name.path}${object}`
}

const invalid = (input: string, reason: string) => Result.fail(new InvalidImageName({ input, reason }))

const parseLayout = (input: string, rest: string): Result.Result<LayoutReference, InvalidImageName> => {
  const at = rest.lastIndexOf("@")
  if (at > 0 && !rest.slice(at).includes("/")) {
    const digest = rest.slice(at + 1)
    if (!isDigest(digest)) return invalid(input, `"${digest}" is not a sha256 digest`)
    return Result.succeed({ _tag: "Layout", path: rest.slice(0, at), tag: undefined, digest })
  }
  const colon = rest.lastIndexOf(":")
  const tagged = colon > rest.lastIndexOf("/")
  const path = tagged ? rest.slice(0, colon) : rest
  if (path === "") return invalid(input, "the path of the layout is missing")
  if (tagged && rest.length === colon + 1) return invalid(input, "the tag is empty")
  return Result.succeed({ _tag: "Layout", path, tag: tagged ? rest.slice(colon + 1) : undefined, digest: undefined })
}

const parseRegistry = (input: string): Result.Result<RegistryReference, InvalidImageName> => {
  if (input.includes("://")) return invalid(input, "a reference has no scheme")
  const slash = input.indexOf("/")
  if (slash < 0) return invalid(input, "the registry host is missing")
  const host = input.slice(0, slash)
  if (!hostPattern.test(host)) return invalid(input, `"${host}" is not a host name`)
  const [named = "", digest, ...more] = input.slice(slash + 1).split("@")
  if (more.length > 0) return invalid(input, "more than one @")
  if (digest !== undefined && !isDigest(digest)) return invalid(input, `"${digest}" is not a sha256 digest`)
  const colon = named.indexOf(":")
  const repository = colon < 0 ? named : named.slice(0, colon)
  const tag = colon < 0 ? undefined : named.slice(colon + 1)
  if (!repositoryPattern.test(repository)) return invalid(input, `invalid repository "${repository}"`)
  if (tag !== undefined && !tagPattern.test(tag)) return invalid(input, `"${tag}" is not a tag`)
  if (tag === undefined && digest === undefined) return invalid(input, "a tag or a digest is missing")
  return Result.succeed({ _tag: "Registry", host, repository, tag, digest })
}
