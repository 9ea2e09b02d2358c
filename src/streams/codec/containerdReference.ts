/**
 * Image names as containerd reads them: a host, a path, and behind the first `:` or `@` of the path an object. No registry and no tag is
 * filled in (cli spec, section 5). The reasons are the texts of the reference.
 */
import { Result } from "effect"

export interface ContainerdReference {
  readonly host: string
  /** Without the slash in front. */
  readonly path: string
  /** A tag, a digest with `@` in front, or both as they were written; empty where there is none. */
  readonly object: string
}

const quoted = (text: string): string => JSON.stringify(text)

/** What Go's net/url says of the host of `dummy://…`; undefined where it accepts it. */
const hostProblem = (authority: string): string | undefined => {
  // A host in brackets is an IPv6 address; everything else has at most one port, behind the last colon.
  const end = authority.startsWith("[") ? authority.lastIndexOf("]") + 1 : authority.lastIndexOf(":")
  const port = end < 0 ? "" : authority.slice(end)
  if (port !== "" && !/^:[0-9]*$/.test(port)) return `invalid port ${quoted(port)} after host`
  const strange = /[^A-Za-z0-9._~!$&'()*+,;=:[\]<>"%-]/u.exec(authority)?.[0]
  return strange === undefined ? undefined : `invalid character ${quoted(strange)} in host name`
}

export const parseContainerdReference = (input: string): Result.Result<ContainerdReference, string> => {
  if (input.includes("://")) return Result.fail("invalid reference")
  const url = `dummy://${input}`
  // oxlint-disable-next-line no-control-regex -- what Go refuses is exactly the control characters
  if (/[\u0000-\u001f\u007f]/.test(input)) {
    return Result.fail(`parse ${quoted(url)}: net/url: invalid control character in URL`)
  }
  const slash = input.search(/[/?#]/)
  const authority = slash < 0 ? input : input.slice(0, slash)
  const host = authority.slice(authority.lastIndexOf("@") + 1)
  const problem = hostProblem(host)
  if (problem !== undefined) return Result.fail(`parse ${quoted(url)}: ${problem}`)
  if (host === "") return Result.fail("hostname required")
  const behind = slash < 0 ? "" : (input.slice(slash).split(/[?#]/, 1)[0] ?? "").replace(/^\//, "")
  const at = behind.search(/[:@]/)
  if (at < 0) return Result.succeed({ host, path: behind, object: "" })
  const object = behind.slice(at)
  return Result.succeed({ host, path: behind.slice(0, at), object: object.startsWith(":") ? object.slice(1) : object })
}

const refuse = (reason: string) =>
  Result.fail(`the destination image must be a tagged ref of the form "registry/repository:tag": ${reason}`)

/** Reads the name a converted image gets: it must have a tag and no digest. The failure is the whole text of the reference. */
export const parseTaggedReference = (input: string): Result.Result<ContainerdReference, string> => {
  const parsed = parseContainerdReference(input)
  if (Result.isFailure(parsed)) return refuse(`could not parse reference: ${parsed.failure}`)
  if (parsed.success.object.includes("@")) return refuse("reference must not contain a digest")
  return parsed.success.object === "" ? refuse("reference must be tagged") : parsed
}
