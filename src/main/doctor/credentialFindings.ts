/**
 * Docker's configuration: whether it can be read, and whether the credential helpers it names are there. Only names are taken from it; secrets
 * are not looked at.
 */
import { Effect, Option, Schema } from "effect"
import * as fs from "node:fs/promises"
import { homedir } from "node:os"
import * as path from "node:path"
import { causeMessage } from "../../services/causeMessage.ts"
import { broken, type Finding, found, type Subject } from "./Finding.ts"

const docker: Subject = { subject: "docker configuration", needed: false }

const maxBytes = 1024 * 1024

const Configuration = Schema.Struct({
  auths: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
  credHelpers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  credsStore: Schema.optionalKey(Schema.String)
})
export type Configuration = typeof Configuration.Type

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Configuration))

export const configurationFile = (): string =>
  path.join(process.env["DOCKER_CONFIG"] ?? path.join(homedir(), ".docker"), "config.json")

/** None where there is no file. The error of a parser is left out: it would quote the file. */
export const readConfiguration = Effect.tryPromise({
  try: async () => {
    const { size } = await fs.stat(configurationFile())
    if (size > maxBytes) throw new Error(`it has ${size} bytes`)
    return await fs.readFile(configurationFile(), "utf8")
  },
  catch: (cause) => cause
}).pipe(
  Effect.flatMap((text) =>
    Effect.try({ try: () => Option.some(decode(text)), catch: () => new Error("it is no docker configuration") })
  ),
  Effect.catch((cause) =>
    cause instanceof Error && "code" in cause && cause.code === "ENOENT" ? Effect.succeedNone : Effect.fail(cause)
  )
)

/** The program of a helper, if it is one that can be found. */
const findHelper = (name: string) =>
  Effect.promise(async () => {
    const program = `docker-credential-${name}`
    for (const directory of (process.env["PATH"] ?? "").split(":")) {
      const file = path.join(directory, program)
      const usable = await fs.access(file, fs.constants.X_OK).then(
        () => true,
        () => false
      )
      if (directory !== "" && usable) return file
    }
    return undefined
  })

const helperFinding = Effect.fnUntraced(function* (name: string) {
  const subject: Subject = { subject: `credential helper ${name}`, needed: false }
  const program = yield* findHelper(name)
  return program === undefined
    ? broken(
        subject,
        `there is no docker-credential-${name} on the PATH, which ${configurationFile()} names`,
        "apt-get install golang-docker-credential-helpers, or the registry's own helper, or docker login without one"
      )
    : found(subject, program)
})

export const helpersOf = ({ credsStore, credHelpers = {} }: Configuration): ReadonlyArray<string> => [
  ...new Set([...(credsStore === undefined || credsStore === "" ? [] : [credsStore]), ...Object.values(credHelpers)])
]

export const credentialFindings: Effect.Effect<ReadonlyArray<Finding>> = Effect.gen(function* () {
  const configuration = yield* readConfiguration
  if (Option.isNone(configuration)) {
    return [
      found(docker, `there is no ${configurationFile()}: registries are asked without credentials, or with --user`)
    ]
  }
  const hosts = Object.keys(configuration.value.auths ?? {})
  const logins = hosts.length === 0 ? "no logins" : `logins for ${hosts.join(", ")}`
  const helpers = yield* Effect.forEach(helpersOf(configuration.value), helperFinding)
  return [found(docker, `${configurationFile()}: ${logins}`), ...helpers]
}).pipe(
  Effect.catch((cause) =>
    Effect.succeed([
      broken(
        docker,
        `${configurationFile()} cannot be read: ${causeMessage(cause)}`,
        "mend it, or log in again with docker login"
      )
    ])
  )
)
