/**
 * The mirrors that config.toml names for a host: `[[resolver.host."<host>".mirrors]]`.
 */
import { Result, Schema } from "effect"
import { type RegistryEndpoint, systemTls } from "./registryEndpoint.ts"

const Mirror = Schema.Struct({
  /** Host with or without port, or a URL; a path in it takes the place of `/v2`. */
  host: Schema.String,
  /** Plain HTTP. */
  insecure: Schema.optionalKey(Schema.Boolean),
  /** 0 and nothing: as for all hosts; negative: no limit of its own. */
  request_timeout_sec: Schema.optionalKey(Schema.Int)
})
const Resolver = Schema.Struct({
  host: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.Struct({ mirrors: Schema.optionalKey(Schema.Array(Mirror)) }))
  )
})
const decodeResolver = Schema.decodeUnknownResult(Resolver)

/** The mirrors of each host, in the order of the file. */
export type ResolverMirrors = ReadonlyMap<string, ReadonlyArray<RegistryEndpoint>>

const endpointOf = (
  host: string,
  { host: mirror, insecure = false, request_timeout_sec: seconds = 0 }: typeof Mirror.Type
): Result.Result<RegistryEndpoint, string> => {
  const url = URL.parse(/^https?:\/\//i.test(mirror) ? mirror : `${insecure ? "http" : "https"}://${mirror}`)
  if (url === null || url.host === "" || url.username !== "" || url.search !== "") {
    return Result.fail(`resolver.host."${host}".mirrors: "${mirror}" is not a host such as mirror.example:5000`)
  }
  return Result.succeed({
    authority: url.host,
    scheme: insecure || url.protocol === "http:" ? "http" : "https",
    apiPath: url.pathname.replace(/\/+$/, "") || "/v2",
    capabilities: ["pull", "resolve"],
    tls: systemTls,
    headers: {},
    isMirror: true,
    timeoutMillis: seconds === 0 ? undefined : seconds < 0 ? Number.POSITIVE_INFINITY : seconds * 1000
  })
}

/** Reads the `resolver` table of a parsed config.toml. The error names the key. */
export const parseResolver = (table: unknown): Result.Result<ResolverMirrors, string> =>
  Result.gen(function* () {
    const { host = {} } = yield* Result.mapError(decodeResolver(table), ({ message }) => `resolver: ${message}`)
    const mirrors = new Map<string, ReadonlyArray<RegistryEndpoint>>()
    for (const [name, { mirrors: listed = [] }] of Object.entries(host)) {
      mirrors.set(name, yield* Result.all(listed.map((mirror) => endpointOf(name, mirror))))
    }
    return mirrors
  })
