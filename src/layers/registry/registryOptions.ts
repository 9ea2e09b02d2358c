/**
 * What can be set about talking to registries. Durations and counts bound every call: none waits for ever.
 */
import { Duration, type Redacted } from "effect"

export interface RegistryOptions {
  /** Hosts spoken to without TLS: all of them if true, otherwise those of this machine. */
  readonly plainHttp?: boolean | "loopback"
  /** `name:password` for every registry that asks; without it the Docker client configuration is looked up. */
  readonly user?: Redacted.Redacted
  /** Directory of the Docker client's config.json; `$DOCKER_CONFIG` or `~/.docker` by default. */
  readonly dockerConfigDirectory?: string
  readonly userAgent?: string
  /** Requests that fail in passing are repeated as often as this; so are transfers that make no progress. */
  readonly retries?: number
  /** The wait before repetition n is random, up to `retryMinDelay * 2^n` and at most `retryMaxDelay`. */
  readonly retryMinDelay?: Duration.Input
  readonly retryMaxDelay?: Duration.Input
  readonly connectTimeout?: Duration.Input
  /** From sending a request to the head of its answer. */
  readonly headersTimeout?: Duration.Input
  /** Between two chunks of an answer. */
  readonly idleTimeout?: Duration.Input
  /** Between two chunks of an upload, and from its last one to the answer: a registry may have to copy it then. */
  readonly uploadTimeout?: Duration.Input
  /** Requests to one host at the same time, uploads apart; more wait. */
  readonly requestsPerHost?: number
}

export interface RegistrySettings {
  readonly plainHttp: boolean | "loopback"
  readonly user: Redacted.Redacted | undefined
  readonly dockerConfigDirectory: string | undefined
  readonly userAgent: string
  readonly retries: number
  readonly retryMinDelayMillis: number
  readonly retryMaxDelayMillis: number
  readonly connectTimeoutMillis: number
  readonly headersTimeout: Duration.Duration
  readonly idleTimeout: Duration.Duration
  readonly uploadTimeout: Duration.Duration
  readonly requestsPerHost: number
}

export const settingsOf = (options: RegistryOptions): RegistrySettings => ({
  plainHttp: options.plainHttp ?? "loopback",
  user: options.user,
  dockerConfigDirectory: options.dockerConfigDirectory,
  userAgent: options.userAgent ?? "effect-soci",
  retries: Math.max(0, options.retries ?? 8),
  retryMinDelayMillis: Duration.toMillis(options.retryMinDelay ?? "30 millis"),
  retryMaxDelayMillis: Duration.toMillis(options.retryMaxDelay ?? "10 seconds"),
  connectTimeoutMillis: Duration.toMillis(options.connectTimeout ?? "3 seconds"),
  headersTimeout: Duration.fromInputUnsafe(options.headersTimeout ?? "30 seconds"),
  idleTimeout: Duration.fromInputUnsafe(options.idleTimeout ?? "30 seconds"),
  uploadTimeout: Duration.fromInputUnsafe(options.uploadTimeout ?? "5 minutes"),
  requestsPerHost: Math.max(1, options.requestsPerHost ?? 10)
})

/** Whether a host with or without port is this machine. */
export const isLoopback = (host: string): boolean => {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1")
  return name === "localhost" || name === "::1" || /^127(?:\.\d{1,3}){3}$/.test(name)
}

/** Docker's registry answers under another name than its references have. */
const serverOf = (host: string): string => (host === "docker.io" ? "registry-1.docker.io" : host)

export const mayBePlain = ({ plainHttp }: RegistrySettings, host: string): boolean =>
  plainHttp === true || isLoopback(host)

/** The origin of a registry: scheme, host and port. */
export const registryOrigin = (settings: RegistrySettings, host: string): string =>
  new URL(`${mayBePlain(settings, host) ? "http" : "https"}://${serverOf(host)}`).origin
