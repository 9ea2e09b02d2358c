/**
 * Certificates and keys from files.
 */
import { Effect } from "effect"
import { createPrivateKey, X509Certificate } from "node:crypto"
import * as fs from "node:fs/promises"
import { errorCode } from "../layout/layoutFailure.ts"
import { HostsUnusable } from "./hostsUnusable.ts"
import type { ClientFiles } from "./hostsFile.ts"
import type { ClientCertificate, TlsMaterial } from "./registryEndpoint.ts"

/** More than all authorities of a system together. */
const maxPemBytes = 4 * 1024 * 1024

const readPem = (file: string, what: string): Effect.Effect<string, HostsUnusable> =>
  Effect.tryPromise({
    try: async () => {
      const { size } = await fs.stat(file)
      if (size > maxPemBytes) throw new Error(`it has ${size} bytes; at most ${maxPemBytes} are read`)
      return await fs.readFile(file, "utf8")
    },
    catch: (cause) =>
      new HostsUnusable({
        file,
        reason:
          errorCode(cause) === "ENOENT"
            ? `there is no such file, expected ${what}`
            : `${what} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
        cause
      })
  })

/** What OpenSSL says about a key may quote it: only that it is none is told. */
const checkedPem = (file: string, what: string, check: (pem: string) => unknown) =>
  Effect.tap(readPem(file, what), (pem) =>
    Effect.try({
      try: () => check(pem),
      catch: () => new HostsUnusable({ file, reason: `expected ${what} in PEM form` })
    })
  )

const readAuthority = (file: string) => checkedPem(file, "a CA certificate", (pem) => new X509Certificate(pem))

const readClient = Effect.fnUntraced(function* ({ certificate, key = certificate }: ClientFiles) {
  return {
    certificate: yield* checkedPem(certificate, "a client certificate", (pem) => new X509Certificate(pem)),
    key: yield* checkedPem(key, "the key of a client certificate", (pem) => createPrivateKey(pem))
  } satisfies ClientCertificate
})

export interface TlsFiles {
  readonly authorities: ReadonlyArray<string>
  readonly clients: ReadonlyArray<ClientFiles>
  readonly skipVerify: boolean
}

export const readTlsFiles = Effect.fnUntraced(function* ({ authorities, clients, skipVerify }: TlsFiles) {
  return {
    authorities: yield* Effect.forEach(authorities, readAuthority),
    clients: yield* Effect.forEach(clients, readClient),
    skipVerify,
    serverName: undefined
  } satisfies TlsMaterial
})
