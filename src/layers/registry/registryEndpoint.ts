/**
 * A server that answers for a registry: the registry itself, or a mirror of it.
 */

/** What may be asked of a server: content by digest, what a tag stands for, uploads. */
export type Capability = "pull" | "resolve" | "push"

export const allCapabilities: ReadonlyArray<Capability> = ["pull", "resolve", "push"]

/** A certificate and its key, both as PEM. */
export interface ClientCertificate {
  readonly certificate: string
  readonly key: string
}

/** Who is trusted, and who we are. */
export interface TlsMaterial {
  /** PEM certificates that are trusted beside those of the system. */
  readonly authorities: ReadonlyArray<string>
  readonly clients: ReadonlyArray<ClientCertificate>
  readonly skipVerify: boolean
  /** The name that the server's certificate must have, where it is not the one it is asked under. */
  readonly serverName: string | undefined
}

export const systemTls: TlsMaterial = { authorities: [], clients: [], skipVerify: false, serverName: undefined }

/** Whether anybody said something about TLS: then nothing else is spoken. */
export const isSystemTls = ({ authorities, clients, skipVerify, serverName }: TlsMaterial): boolean =>
  authorities.length === 0 && clients.length === 0 && !skipVerify && serverName === undefined

export interface RegistryEndpoint {
  /** Host and port, as they stand in URLs. */
  readonly authority: string
  /** "detect": TLS, or plain HTTP if the server does not speak TLS; for servers on this machine only. */
  readonly scheme: "https" | "http" | "detect"
  /** `/v2`, or what takes its place; without a slash at its end. */
  readonly apiPath: string
  readonly capabilities: ReadonlyArray<Capability>
  readonly tls: TlsMaterial
  readonly headers: Readonly<Record<string, string>>
  /** It stands in for another host: what belongs to that host is not for it. */
  readonly isMirror: boolean
  /** Milliseconds to the head of an answer; `undefined`: as for all others. */
  readonly timeoutMillis: number | undefined
}

/** Whether a host with or without port is this machine. */
export const isLoopback = (host: string): boolean => {
  const name = host
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase()
  return name === "localhost" || name === "::1" || /^127(?:\.\d{1,3}){3}$/.test(name)
}

/** Docker's registry answers under another name than its references have. */
export const serverOf = (host: string): string =>
  host === "docker.io" || host === "index.docker.io" ? "registry-1.docker.io" : host

/** The server of a host that nobody configured. */
export const defaultEndpoint = (
  host: string,
  { plainHttp, tls }: { readonly plainHttp: boolean | "loopback"; readonly tls: TlsMaterial }
): RegistryEndpoint => {
  const detect = plainHttp === "loopback" && isLoopback(host) && isSystemTls(tls)
  return {
    authority: serverOf(host),
    scheme: plainHttp === true ? "http" : detect ? "detect" : "https",
    apiPath: "/v2",
    capabilities: allCapabilities,
    tls,
    headers: {},
    isMirror: false,
    timeoutMillis: undefined
  }
}

/** For servers that a registry leads to: they are trusted as the registry is, but are not told who we are. */
export const foreignTls = (tls: TlsMaterial): TlsMaterial => ({ ...tls, clients: [], serverName: undefined })
