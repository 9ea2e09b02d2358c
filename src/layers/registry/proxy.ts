/**
 * Which proxy a request goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case, as Go's programs read them.
 * This machine is never asked for through a proxy, unless that is wanted.
 */
import { BlockList, isIP } from "node:net"
import { isLoopback } from "./registryEndpoint.ts"

export interface ProxySettings {
  readonly http: string | undefined
  readonly https: string | undefined
  /**
   * Hosts asked directly: names with all below them, addresses, address ranges, each with or without a port; `*` for
   * all.
   */
  readonly none: ReadonlyArray<string>
  /** Whether requests to this machine go through a proxy too. */
  readonly loopback: boolean
}

export const noProxy: ProxySettings = { http: undefined, https: undefined, none: [], loopback: false }

export const proxiesOf = (environment: Readonly<Record<string, string | undefined>>): ProxySettings => {
  const value = (name: string) => environment[name] || environment[name.toLowerCase()] || undefined
  return {
    http: value("HTTP_PROXY"),
    https: value("HTTPS_PROXY"),
    none: (value("NO_PROXY") ?? "")
      .split(/[\s,]+/)
      .filter((entry) => entry !== "")
      .map((entry) => entry.toLowerCase()),
    loopback: false
  }
}

const bare = (host: string): string => host.replace(/^\[(.*)\]$/, "$1")

const family = (address: string) => (isIP(address) === 6 ? "ipv6" : "ipv4")

const inSubnet = (entry: string, address: string): boolean => {
  const [, net = "", bits = ""] = /^(.+)\/(\d{1,3})$/.exec(entry) ?? []
  if (isIP(net) === 0 || isIP(net) !== isIP(address) || Number(bits) > (isIP(net) === 4 ? 32 : 128)) return false
  const list = new BlockList()
  list.addSubnet(net, Number(bits), family(net))
  return list.check(address, family(address))
}

const matches = (entry: string, host: string, port: string): boolean => {
  if (entry === "*") return true
  if (isIP(host) !== 0 && (inSubnet(entry, host) || bare(entry) === host)) return true
  const [, name = "", wantedPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? []
  if (wantedPort !== undefined && wantedPort !== port) return false
  if (isIP(host) !== 0) return bare(name) === host
  const domain = name.replace(/^\*?\./, "")
  // A leading dot means: only what lies below.
  return host.endsWith(`.${domain}`) || (domain === name && host === domain)
}

/** The proxy for a URL; `undefined`: none. */
export const proxyFor = (url: URL, { http, https, none, loopback }: ProxySettings): string | undefined => {
  const proxy = url.protocol === "https:" ? https : http
  if (proxy === undefined || (!loopback && isLoopback(url.host))) return undefined
  const host = bare(url.hostname.toLowerCase())
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port
  if (none.some((entry) => matches(entry, host, port))) return undefined
  return proxy.includes("://") ? proxy : `http://${proxy}`
}
