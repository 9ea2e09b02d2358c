/**
 * What can be set about talking to registries. Durations and counts bound every call: none waits for ever.
 */
import { Duration, type Redacted } from "effect"
import type { CredentialSource } from "./dockerCredentials.ts"
import type { OnExchange } from "./exchangeLog.ts"
import { proxiesOf, type ProxySettings } from "./proxy.ts"
import { type RegistryHosts, registryHosts } from "./registryHosts.ts"
import type { ResolverMirrors } from "./resolverMirrors.ts"
import type { TlsFiles } from "./tlsFiles.ts"

export interface RegistryOptions {
  /**
   * Hosts spoken to without TLS: all of them if true, none if false; "loopback", the default: hosts of this machine
   * that turn out not to speak TLS, unless something is said about their TLS.
   */
  readonly plainHttp?: boolean | "loopback"
  /** Certificates for all hosts whose own configuration names none. */
  readonly tls?: TlsFiles
  /** A directory with a directory for each host, in the form of containerd's `certs.d`. */
  readonly hostsDirectory?: string
  /** Mirrors of the daemon's configuration (`parseResolver`), asked first. */
  readonly mirrors?: ResolverMirrors
  /** Takes the place of the four above. */
  readonly hosts?: RegistryHosts
  /** How long the endpoints of a host are remembered. */
  readonly hostsTimeToLive?: Duration.Input
  /** The environment's by default. */
  readonly proxies?: ProxySettings
  /** `name:password` for every registry that asks, but none of its mirrors; without it `credentials` are asked. */
  readonly user?: Redacted.Redacted
  /** The only host of references that `user` is for; by default all are. */
  readonly userHost?: string
  /** By default the Docker client's configuration. */
  readonly credentials?: CredentialSource
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
  /**
   * For a whole operation with all its repetitions. A transfer has one more second for each `minimumRate` bytes; what
   * its consumer takes for itself does not count.
   */
  readonly operationTimeout?: Duration.Input
  /** Bytes in a second, below which a transfer is given up. */
  readonly minimumRate?: number
  /** Requests to one host at the same time, uploads apart; more wait. */
  readonly requestsPerHost?: number
  /**
   * More is not asked for in one request: a longer read is made of several, one after the other. No limit by default.
   * Neighbouring reads are joined by whoever knows of them.
   */
  readonly rangeBytes?: number
  /** Larger blobs are uploaded in parts of this size, so that a broken upload goes on where it broke. */
  readonly uploadPartBytes?: number
  /** Sees each request and each answer, without secrets. */
  readonly onExchange?: OnExchange
}

export interface RegistrySettings {
  readonly hosts: RegistryHosts
  readonly hostsTimeToLiveMillis: number
  readonly proxies: ProxySettings
  readonly user: Redacted.Redacted | undefined
  readonly userHost: string | undefined
  readonly credentials: CredentialSource | undefined
  readonly dockerConfigDirectory: string | undefined
  readonly userAgent: string
  readonly retries: number
  readonly retryMinDelayMillis: number
  readonly retryMaxDelayMillis: number
  readonly connectTimeoutMillis: number
  readonly headersTimeout: Duration.Duration
  readonly idleTimeout: Duration.Duration
  readonly uploadTimeout: Duration.Duration
  readonly operationTimeoutMillis: number
  readonly minimumRate: number
  readonly requestsPerHost: number
  readonly rangeBytes: number
  readonly uploadPartBytes: number
  readonly onExchange: OnExchange | undefined
}

const hostsOf = ({ plainHttp = "loopback", tls, hostsDirectory, mirrors }: RegistryOptions) =>
  registryHosts({ plainHttp, tls, directory: hostsDirectory, mirrors })

export const settingsOf = (options: RegistryOptions): RegistrySettings => ({
  hosts: options.hosts ?? hostsOf(options),
  hostsTimeToLiveMillis: Duration.toMillis(options.hostsTimeToLive ?? "1 minute"),
  proxies: options.proxies ?? proxiesOf(process.env),
  user: options.user,
  userHost: options.userHost,
  credentials: options.credentials,
  dockerConfigDirectory: options.dockerConfigDirectory,
  userAgent: options.userAgent ?? "effect-soci",
  retries: Math.max(0, options.retries ?? 8),
  retryMinDelayMillis: Duration.toMillis(options.retryMinDelay ?? "30 millis"),
  retryMaxDelayMillis: Duration.toMillis(options.retryMaxDelay ?? "10 seconds"),
  connectTimeoutMillis: Duration.toMillis(options.connectTimeout ?? "3 seconds"),
  headersTimeout: Duration.fromInputUnsafe(options.headersTimeout ?? "30 seconds"),
  idleTimeout: Duration.fromInputUnsafe(options.idleTimeout ?? "30 seconds"),
  uploadTimeout: Duration.fromInputUnsafe(options.uploadTimeout ?? "5 minutes"),
  operationTimeoutMillis: Duration.toMillis(options.operationTimeout ?? "5 minutes"),
  minimumRate: Math.max(1, options.minimumRate ?? 16 * 1024),
  requestsPerHost: Math.max(1, options.requestsPerHost ?? 10),
  rangeBytes: Math.max(1, options.rangeBytes ?? Number.POSITIVE_INFINITY),
  uploadPartBytes: Math.max(1, options.uploadPartBytes ?? 256 * 1024 ** 2),
  onExchange: options.onExchange
})

/** How long an operation that moves `bytes` may take. */
export const deadlineMillis = ({ operationTimeoutMillis, minimumRate }: RegistrySettings, bytes: number): number =>
  operationTimeoutMillis + (bytes / minimumRate) * 1000
