/**
 * Credentials of the Docker client: `config.json` and the credential helpers it names
 * (docker-credential-helpers protocol: `docker-credential-NAME get`, the server's name on standard input).
 */
import { Effect, Option, Redacted, Schema } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs/promises"
import { homedir } from "node:os"
import * as path from "node:path"
import type { Repository } from "../../services/RegistryFetcher.ts"

export interface Credential {
  readonly username: string
  readonly password: Redacted.Redacted
  /** An OAuth2 refresh token, which takes the place of name and password. */
  readonly identityToken?: Redacted.Redacted
}

/** Where credentials come from: for a server, and what is asked for there. */
export type CredentialSource = (host: string, reference: Repository) => Effect.Effect<Option.Option<Credential>>

const maxConfigBytes = 1024 * 1024
const helperTimeoutMillis = 30_000

const Config = Schema.Struct({
  auths: Schema.optionalKey(
    Schema.Record(
      Schema.String,
      Schema.Struct({
        auth: Schema.optionalKey(Schema.String),
        username: Schema.optionalKey(Schema.String),
        password: Schema.optionalKey(Schema.String),
        identitytoken: Schema.optionalKey(Schema.String)
      })
    )
  ),
  credHelpers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  credsStore: Schema.optionalKey(Schema.String)
})
type Config = typeof Config.Type

const HelperAnswer = Schema.Struct({ Username: Schema.String, Secret: Schema.String })

const decodeConfig = Schema.decodeUnknownSync(Schema.fromJsonString(Config))
const decodeAnswer = Schema.decodeUnknownSync(Schema.fromJsonString(HelperAnswer))

const hubKey = "https://index.docker.io/v1/"
const isHub = (host: string) => ["docker.io", "index.docker.io", "registry-1.docker.io"].includes(host)

/** The host of a key of `auths`, which may be a URL. */
const hostOf = (key: string): string => key.replace(/^https?:\/\//, "").replace(/\/.*$/, "")

const find = <A>(entries: Readonly<Record<string, A>> | undefined, host: string): A | undefined => {
  const key = [...(isHub(host) ? [hubKey] : []), host].find((name) => Object.hasOwn(entries ?? {}, name))
  const found = key ?? Object.keys(entries ?? {}).find((name) => hostOf(name) === host)
  return found === undefined ? undefined : entries?.[found]
}

/** `name:password`, split at the first colon; a text without one is a name with no password. */
export const parseUser = (user: Redacted.Redacted): Credential => {
  const text = Redacted.value(user)
  const colon = text.indexOf(":")
  return colon < 0
    ? { username: text, password: Redacted.make("") }
    : { username: text.slice(0, colon), password: Redacted.make(text.slice(colon + 1)) }
}

const fromAuths = (config: Config, host: string): Credential | undefined => {
  const entry = find(config.auths, host)
  if (entry === undefined) return undefined
  const identity = entry.identitytoken ? { identityToken: Redacted.make(entry.identitytoken) } : {}
  if (entry.auth) {
    const user = parseUser(Redacted.make(Buffer.from(entry.auth, "base64").toString("utf8").replaceAll("\0", "")))
    return { ...user, ...identity }
  }
  if (entry.username === undefined && !entry.identitytoken) return undefined
  return { username: entry.username ?? "", password: Redacted.make(entry.password ?? ""), ...identity }
}

class HelperFailed extends Schema.TaggedError<HelperFailed>()("HelperFailed", {
  helper: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `credential helper ${this.helper}: ${this.reason}; going on without credentials`
  }
}

/** The name becomes part of a program's name: nothing in it may lead elsewhere. */
const helperName = /^[A-Za-z0-9][A-Za-z0-9._-]*$/

const runHelper = (name: string, server: string): Effect.Effect<string, HelperFailed> =>
  Effect.callback((resume) => {
    const helper = `docker-credential-${name}`
    if (!helperName.test(name)) return resume(new HelperFailed({ helper, reason: "it has no name of a program" }))
    const limits = { timeout: helperTimeoutMillis, maxBuffer: maxConfigBytes, encoding: "utf8" } as const
    const child = execFile(helper, ["get"], limits, (error, stdout) => {
      if (error === null) return resume(Effect.succeed(stdout))
      const reason = /credentials not found/i.test(stdout)
        ? "credentials not found"
        : `exit ${error.code ?? "by a signal"}`
      return resume(new HelperFailed({ helper, reason }))
    })
    // A helper that ends without reading closes its input: that is its answer, and no failure of ours.
    child.stdin?.on("error", () => undefined)
    child.stdin?.end(`${server}\n`)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const fromHelper = (name: string, host: string): Effect.Effect<Option.Option<Credential>> =>
  runHelper(name, isHub(host) ? hubKey : host).pipe(
    Effect.flatMap((output) =>
      Effect.try({
        try: () => decodeAnswer(output),
        catch: () => new HelperFailed({ helper: name, reason: "its answer is not what helpers answer" })
      })
    ),
    Effect.map(({ Username, Secret }) => {
      const secret = Redacted.make(Secret)
      if (Username === "<token>") return { username: "", password: Redacted.make(""), identityToken: secret }
      return { username: Username, password: secret }
    }),
    Effect.asSome,
    Effect.catch((error) =>
      error.reason === "credentials not found"
        ? Effect.succeedNone
        : Effect.as(Effect.logWarning(error.message), Option.none())
    )
  )

/** Reads the configuration each time it is asked: a login takes effect without a restart. */
export const dockerCredentials = (directory: string | undefined): CredentialSource => {
  const file = path.join(directory ?? process.env["DOCKER_CONFIG"] ?? path.join(homedir(), ".docker"), "config.json")
  const readConfig = Effect.tryPromise(async () => {
    const { size } = await fs.stat(file)
    if (size > maxConfigBytes) throw new Error(`it has ${size} bytes`)
    return decodeConfig(await fs.readFile(file, "utf8"))
  }).pipe(
    Effect.catch(({ cause }) => {
      if (cause instanceof Error && "code" in cause && cause.code === "ENOENT")
        return Effect.succeed(decodeConfig("{}"))
      // The error of the parser would quote the file, which holds secrets.
      return Effect.as(Effect.logWarning(`${file} cannot be read; going on without credentials`), decodeConfig("{}"))
    })
  )
  return (host) =>
    Effect.flatMap(readConfig, (config) => {
      const helper = find(config.credHelpers, host) ?? config.credsStore
      const own = Option.fromUndefinedOr(fromAuths(config, host))
      return helper === undefined
        ? Effect.succeed(own)
        : Effect.map(fromHelper(helper, host), (found) => Option.orElse(found, () => own))
    })
}
