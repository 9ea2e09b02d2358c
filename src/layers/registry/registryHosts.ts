/**
 * Which servers answer for a host, and in which order: mirrors of the daemon's configuration, the host's directory, and
 * what follows from the host's name.
 */
import { Effect } from "effect"
import type { HostEntry } from "./hostsFile.ts"
import { HostsUnusable } from "./hostsUnusable.ts"
import { readHostsDirectory } from "./hostsDirectory.ts"
import {
  defaultEndpoint,
  isSystemTls,
  type RegistryEndpoint,
  serverOf,
  systemTls,
  type TlsMaterial
} from "./registryEndpoint.ts"
import type { ResolverMirrors } from "./resolverMirrors.ts"
import { readTlsFiles, type TlsFiles } from "./tlsFiles.ts"

/** The endpoints of a host of references, in the order in which they are asked. */
export type RegistryHosts = (host: string) => Effect.Effect<ReadonlyArray<RegistryEndpoint>, HostsUnusable>

export interface HostsOptions {
  /** Hosts without TLS: all if true, none if false, "loopback": those of this machine that speak no TLS. */
  readonly plainHttp: boolean | "loopback"
  /** For all hosts whose configuration says nothing of TLS. */
  readonly tls: TlsFiles | undefined
  /** A directory in the form of containerd's `certs.d`. */
  readonly directory: string | undefined
  /** Asked first. */
  readonly mirrors: ResolverMirrors | undefined
}

/** A path that is not overridden ends in `/v2` (containerd, docs/hosts.md, "override_path"). */
const apiPathOf = (url: URL, overridePath: boolean): string => {
  const path = url.pathname.replaceAll(/\/+/g, "/").replace(/\/$/, "")
  return overridePath || path.endsWith("/v2") ? path : `${path}/v2`
}

const endpointOf = Effect.fnUntraced(function* (
  host: string,
  entry: HostEntry,
  plainHttp: HostsOptions["plainHttp"],
  fallback: TlsMaterial
) {
  const read = yield* readTlsFiles(entry)
  const tls = isSystemTls(read) ? fallback : read
  const { url, isServer, capabilities, headers } = entry
  const byName = defaultEndpoint(host, { plainHttp, tls })
  if (url === undefined) return { ...byName, headers }
  return {
    ...byName,
    authority: url.host,
    scheme: url.protocol === "http:" ? "http" : "https",
    apiPath: apiPathOf(url, entry.overridePath),
    capabilities,
    headers,
    isMirror: !isServer && ![host, serverOf(host)].includes(url.host)
  } satisfies RegistryEndpoint
})

/** Nothing that leads out of a directory, and nothing that is more of a URL than its host. */
const hostPattern = /^[a-zA-Z0-9[][^/\\?#@\s]*$/

export const registryHosts =
  ({ plainHttp, tls, directory, mirrors }: HostsOptions): RegistryHosts =>
  (host) =>
    Effect.gen(function* () {
      if (!hostPattern.test(host) || !URL.canParse(`https://${host}`)) {
        return yield* new HostsUnusable({ file: "the reference", reason: `"${host}" is not the name of a host` })
      }
      const fallback = tls === undefined ? systemTls : yield* readTlsFiles(tls)
      const entries = directory === undefined ? undefined : yield* readHostsDirectory(directory, host)
      const listed =
        entries === undefined
          ? [defaultEndpoint(host, { plainHttp, tls: fallback })]
          : yield* Effect.forEach(entries, (entry) => endpointOf(host, entry, plainHttp, fallback))
      return [...(mirrors?.get(host) ?? []), ...listed]
    })
