/**
 * The file `hosts.toml` of a host (containerd, docs/hosts.md): which servers answer for it, in which order, and how
 * they are spoken to.
 */
import { Result, Schema } from "effect"
import { parse } from "effect/encoding/Toml"
import { allCapabilities, type Capability } from "./registryEndpoint.ts"

/** A header's name and value as HTTP allows them (RFC 9110, 5): nothing that begins another header. */
const HeaderName = Schema.String.check(Schema.isPattern(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/))
const HeaderValue = Schema.String.check(Schema.isPattern(/^[\t\x20-\x7e\x80-\xff]*$/))

const settings = {
  capabilities: Schema.optionalKey(Schema.Array(Schema.String)),
  ca: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
  client: Schema.optionalKey(
    Schema.Union([Schema.String, Schema.Array(Schema.Union([Schema.String, Schema.Array(Schema.String)]))])
  ),
  skip_verify: Schema.optionalKey(Schema.Boolean),
  override_path: Schema.optionalKey(Schema.Boolean),
  header: Schema.optionalKey(Schema.Record(HeaderName, Schema.Union([HeaderValue, Schema.Array(HeaderValue)])))
}
const HostTable = Schema.Struct(settings)
const HostsTable = Schema.Struct({
  ...settings,
  server: Schema.optionalKey(Schema.String),
  host: Schema.optionalKey(Schema.Record(Schema.String, HostTable))
})
const decodeTable = Schema.decodeUnknownResult(HostsTable)

/** Files that hold a certificate, and its key unless that is in the same file. */
export interface ClientFiles {
  readonly certificate: string
  readonly key: string | undefined
}

/** One server as the file describes it. */
export interface HostEntry {
  /** `undefined`: the server of the host itself. */
  readonly url: URL | undefined
  /** The host itself, under whatever name; the others stand in for it. */
  readonly isServer: boolean
  readonly capabilities: ReadonlyArray<Capability>
  readonly authorities: ReadonlyArray<string>
  readonly clients: ReadonlyArray<ClientFiles>
  readonly skipVerify: boolean
  readonly overridePath: boolean
  readonly headers: Readonly<Record<string, string>>
}

const asList = (value: string | ReadonlyArray<string> | undefined): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : (value ?? [])

const isCapability = (name: string): name is Capability => allCapabilities.some((known) => known === name)

const capabilitiesOf = (
  key: string,
  names: ReadonlyArray<string>
): Result.Result<ReadonlyArray<Capability>, string> => {
  const lower = names.map((name) => name.toLowerCase())
  const unknown = lower.find((name) => !isCapability(name))
  return unknown === undefined
    ? Result.succeed(lower.filter(isCapability))
    : Result.fail(`${key}capabilities: "${unknown}" is none of pull, resolve, push`)
}

const clientsOf = (
  key: string,
  client: typeof HostTable.Type.client
): Result.Result<ReadonlyArray<ClientFiles>, string> => {
  const pairs = (typeof client === "string" ? [client] : (client ?? [])).map((pair) =>
    typeof pair === "string" ? [pair] : pair
  )
  if (pairs.some(({ length }) => length < 1 || length > 2)) {
    return Result.fail(`${key}client: expected a file, or pairs of a certificate and a key`)
  }
  return Result.succeed(pairs.map(([certificate = "", key]) => ({ certificate, key: key || undefined })))
}

const urlOf = (key: string, server: string): Result.Result<URL, string> => {
  const url = URL.parse(/^https?:\/\//i.test(server) ? server : `https://${server}`)
  return url === null || url.username !== "" || url.search !== ""
    ? Result.fail(`${key}"${server}" is not the URL of a server, such as https://mirror.example:5000`)
    : Result.succeed(url)
}

/** `key` is where the table stands in the file, for messages. */
const entryOf = (key: string, server: string | undefined, isServer: boolean, table: typeof HostTable.Type) =>
  Result.gen(function* () {
    const { capabilities } = table
    return {
      url: server === undefined || server === "" ? undefined : yield* urlOf(key, server),
      isServer,
      capabilities:
        capabilities === undefined || capabilities.length === 0
          ? allCapabilities
          : yield* capabilitiesOf(key, capabilities),
      authorities: asList(table.ca),
      clients: yield* clientsOf(key, table.client),
      skipVerify: table.skip_verify ?? false,
      overridePath: table.override_path ?? false,
      headers: Object.fromEntries(
        Object.entries(table.header ?? {}).map(([name, value]) => [name.toLowerCase(), asList(value).join(", ")])
      )
    } satisfies HostEntry
  })

/**
 * The servers of the file in the order in which they are asked; the host's own is the last. The error says what is
 * wrong where.
 */
export const parseHostsFile = (text: string): Result.Result<ReadonlyArray<HostEntry>, string> =>
  Result.gen(function* () {
    const parsed = yield* Result.mapError(parse(text), ({ message }) => message)
    const { server, host = {}, ...root } = yield* Result.mapError(decodeTable(parsed), ({ message }) => message)
    const entries: Array<HostEntry> = []
    for (const [name, table] of Object.entries(host))
      entries.push(yield* entryOf(`host."${name}": `, name, false, table))
    entries.push(yield* entryOf("server: ", server, true, root))
    return entries
  })
