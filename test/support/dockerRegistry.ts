/**
 * Debian's docker-registry (distribution 2.8) on a free port: a registry that others wrote.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { createInterface } from "node:readline"
import { temporaryDirectory } from "./temporaryDirectory.ts"

/** bcrypt of "secret". */
const passwordFile = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"

export interface DockerRegistryOptions {
  /** Only for `me:secret`. */
  readonly password?: boolean
  /** Files in PEM form: it speaks TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string }
  /** Only for clients with a certificate of this authority. */
  readonly clientAuthority?: string
}

const configuration = (directory: string, { password = false, tls, clientAuthority }: DockerRegistryOptions): string =>
  [
    "version: 0.1",
    "log: { level: info }",
    `storage: { filesystem: { rootdirectory: ${directory}/data } }`,
    "http:",
    "  addr: 127.0.0.1:0",
    ...(tls === undefined ? [] : ["  tls:", `    certificate: ${tls.certificate}`, `    key: ${tls.key}`]),
    ...(clientAuthority === undefined ? [] : [`    clientcas: [${clientAuthority}]`]),
    ...(password ? [`auth: { htpasswd: { realm: test, path: ${directory}/htpasswd } }`] : [])
  ].join("\n")

/** Serves until the scope ends. */
export const dockerRegistry = Effect.fnUntraced(function* (options: DockerRegistryOptions = {}) {
  const directory = yield* temporaryDirectory
  const file = path.join(directory, "config.yml")
  yield* Effect.promise(() => fs.writeFile(file, configuration(directory, options)))
  yield* Effect.promise(() => fs.writeFile(path.join(directory, "htpasswd"), passwordFile))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("docker-registry", ["serve", file], { stdio: ["ignore", "ignore", "pipe"] })),
    (running) =>
      Effect.callback<void>((resume) => {
        running.once("exit", () => resume(Effect.void))
        if (!running.kill("SIGKILL")) resume(Effect.void)
      })
  )
  const host = yield* Effect.callback<string, Error>((resume) => {
    child.once("error", (error) => resume(Effect.fail(error)))
    child.once("exit", (code) => resume(Effect.fail(new Error(`docker-registry ended with ${code}`))))
    createInterface(child.stderr).on("line", (line) => {
      const address = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
      if (address !== undefined) resume(Effect.succeed(address))
    })
  })
  return { host }
})
