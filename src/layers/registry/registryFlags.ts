/**
 * The flags of commands that talk to registries, as options of the fetcher.
 */
import { Effect, type Redacted, Result } from "effect"
import { HostsUnusable } from "./hostsUnusable.ts"
import { formatExchange } from "./exchangeLog.ts"
import type { RegistryOptions } from "./registryOptions.ts"

export interface RegistryFlags {
  /** No TLS at all: what is said about TLS is of no account then. */
  readonly plainHttp?: boolean | undefined
  /** `name[:password]`, for the registry itself and none of its mirrors. */
  readonly user?: Redacted.Redacted | undefined
  /** The only host that `user` is for, where a command talks to several. */
  readonly userHost?: string | undefined
  /** A directory in the form of containerd's `certs.d`. */
  readonly hostsDir?: string | undefined
  readonly skipVerify?: boolean | undefined
  /** Files in PEM form. The certificate may hold its key. */
  readonly tlscacert?: string | undefined
  readonly tlscert?: string | undefined
  readonly tlskey?: string | undefined
  /** Show requests and answers, with their headers. */
  readonly httpDump?: boolean | undefined
  /** Show requests and answers. `--debug` does too. */
  readonly httpTrace?: boolean | undefined
}

const given = (value: string | undefined): value is string => value !== undefined && value !== ""

const refused = (reason: string) => Result.fail(new HostsUnusable({ file: "the flags", reason }))

/** `print` gets the lines that `--http-trace` and `--http-dump` show; it must not fail. */
export const registryOptionsFromFlags = (
  flags: RegistryFlags,
  print: (line: string) => Effect.Effect<void>
): Result.Result<RegistryOptions, HostsUnusable> => {
  const { plainHttp = false, user, userHost, hostsDir, skipVerify = false, tlscacert, tlscert, tlskey } = flags
  if (given(tlskey) && !given(tlscert)) return refused("--tlskey is the key of a certificate: give --tlscert too")
  const trace = flags.httpDump === true || flags.httpTrace === true
  const tls = {
    authorities: given(tlscacert) ? [tlscacert] : [],
    clients: given(tlscert) ? [{ certificate: tlscert, key: given(tlskey) ? tlskey : undefined }] : [],
    skipVerify
  }
  return Result.succeed({
    plainHttp: plainHttp ? true : "loopback",
    ...(user === undefined ? {} : { user }),
    ...(userHost === undefined ? {} : { userHost }),
    ...(given(hostsDir) ? { hostsDirectory: hostsDir } : {}),
    ...(!plainHttp && (skipVerify || tls.authorities.length > 0 || tls.clients.length > 0) ? { tls } : {}),
    ...(trace
      ? {
          onExchange: (event) =>
            Effect.forEach(formatExchange(event, flags.httpDump === true), print, { discard: true })
        }
      : {})
  })
}
