/**
 * A directory of host configurations: `<root>/<host>/hosts.toml` as containerd reads it (docs/hosts.md), and the
 * `*.crt`, `*.cert` and `*.key` files that Docker reads, where there is no such file. `<root>/_default` is for hosts
 * without a directory of their own.
 */
import { Effect, Result } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { errorCode } from "../layout/layoutFailure.ts"
import { type HostEntry, parseHostsFile } from "./hostsFile.ts"
import { HostsUnusable } from "./hostsUnusable.ts"
import { allCapabilities } from "./registryEndpoint.ts"

const maxHostsFileBytes = 1024 * 1024

/** A port follows its host as `_5000_`, since not all file systems know colons; with a colon it is found too. */
const directoriesOf = (root: string, host: string): ReadonlyArray<string> => {
  const [, name = "", port] = /^(.*?)(?::(\d+))?$/.exec(host) ?? []
  const spelled = port === undefined ? [host] : [`${name.replaceAll(":", "")}_${port}_`, `${name}_${port}_`, host]
  return [...new Set([...spelled, "_default"])].map((directory) => path.join(root, directory))
}

/** The names in a directory; `undefined` where there is none. */
const listDirectory = (directory: string): Effect.Effect<ReadonlyArray<string> | undefined, HostsUnusable> =>
  Effect.tryPromise({ try: () => fs.readdir(directory), catch: (cause) => cause }).pipe(
    Effect.map((names): ReadonlyArray<string> | undefined => names.toSorted()),
    Effect.catch((cause) =>
      errorCode(cause) === "ENOENT" || errorCode(cause) === "ENOTDIR"
        ? Effect.undefined
        : Effect.fail(new HostsUnusable({ file: directory, reason: `it cannot be read: ${String(cause)}`, cause }))
    )
  )

const readHostsFile = (file: string): Effect.Effect<string, HostsUnusable> =>
  Effect.tryPromise({
    try: async () => {
      const { size } = await fs.stat(file)
      if (size > maxHostsFileBytes) throw new Error(`it has ${size} bytes; at most ${maxHostsFileBytes} are read`)
      return await fs.readFile(file, "utf8")
    },
    catch: (cause) => new HostsUnusable({ file, reason: `it cannot be read: ${String(cause)}`, cause })
  })

const own: HostEntry = {
  url: undefined,
  isServer: true,
  capabilities: allCapabilities,
  authorities: [],
  clients: [],
  skipVerify: false,
  overridePath: false,
  headers: {}
}

/** What Docker's files say: authorities, and client certificates with the key of the same name. */
const fromCertificateFiles = (directory: string, names: ReadonlyArray<string>) => {
  const ending = (end: string) => names.filter((name) => name.endsWith(end)).map((name) => path.join(directory, name))
  const clients = ending(".cert").map((certificate) => ({
    certificate,
    key: certificate.replace(/\.cert$/, ".key")
  }))
  return [{ ...own, authorities: ending(".crt"), clients }] satisfies ReadonlyArray<HostEntry>
}

const relativeTo = (directory: string, entry: HostEntry): HostEntry => ({
  ...entry,
  authorities: entry.authorities.map((file) => path.resolve(directory, file)),
  clients: entry.clients.map(({ certificate, key }) => ({
    certificate: path.resolve(directory, certificate),
    key: key === undefined ? undefined : path.resolve(directory, key)
  }))
})

/** The servers of a host, in the order in which they are asked; `undefined` where nothing is said about it. */
export const readHostsDirectory = Effect.fnUntraced(function* (root: string, host: string) {
  for (const directory of directoriesOf(root, host)) {
    const names = yield* listDirectory(directory)
    if (names === undefined) continue
    const file = path.join(directory, "hosts.toml")
    const text = names.includes("hosts.toml") ? yield* readHostsFile(file) : ""
    if (text.trim() === "") return fromCertificateFiles(directory, names)
    const parsed = parseHostsFile(text)
    if (Result.isFailure(parsed)) return yield* new HostsUnusable({ file, reason: parsed.failure })
    return parsed.success.map((entry) => relativeTo(directory, entry))
  }
  return undefined
})
