/**
 * What went wrong on the way to a server, in words, and whether trying again may help. The causes are those of Node and
 * undici; their messages name hosts and ports, never URLs or headers.
 */
import { HttpClientError } from "effect/http"

export interface NetworkFailure {
  readonly reason: string
  readonly transient: boolean
  /** The server ended the connection without a word. */
  readonly closed?: boolean
  readonly cause?: Error
}

const known: ReadonlyMap<string, NetworkFailure> = new Map(
  Object.entries({
    ECONNREFUSED: { reason: "the connection was refused; nothing listens there", transient: true },
    ECONNRESET: { reason: "the connection was reset", transient: true, closed: true },
    EPIPE: { reason: "the server closed the connection", transient: true, closed: true },
    ETIMEDOUT: { reason: "the connection timed out", transient: true },
    ENOTFOUND: { reason: "no such host", transient: false },
    EAI_AGAIN: { reason: "the name of the host could not be resolved at the moment", transient: true },
    EHOSTUNREACH: { reason: "the host cannot be reached", transient: true },
    ENETUNREACH: { reason: "the network cannot be reached", transient: true },
    UND_ERR_CONNECT_TIMEOUT: { reason: "no connection in time", transient: true },
    UND_ERR_DESTROYED: { reason: "the connections were closed before it was sent", transient: false },
    UND_ERR_SOCKET: { reason: "the server closed the connection", transient: true, closed: true },
    UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { reason: "the body was shorter than its server said", transient: true },
    UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: {
      reason: "the content has another size than its descriptor",
      transient: false
    },
    UND_ERR_ABORTED: { reason: "the proxy refused to connect to it", transient: false }
  })
)

/** OpenSSL's words for a first record that is none of TLS. */
const plainAnswers: ReadonlyArray<string> = [
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_SSL_HTTP_REQUEST",
  "ERR_SSL_UNKNOWN_PROTOCOL",
  "ERR_SSL_RECORD_TOO_SMALL"
]

/** Whether an error means that the other side answered a TLS greeting with something else. */
export const speaksNoTls = (code: string | undefined): boolean => code !== undefined && plainAnswers.includes(code)

/** How a server says that it does not let us in with this certificate, or without one. */
const refusedCertificate =
  /^ERR_SSL_(?:SSLV3|TLSV1|TLSV13)_ALERT_(?:CERTIFICATE|BAD_CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERT|ACCESS)/

const noTls =
  "http: server gave HTTP response to HTTPS client (it does not speak TLS). " +
  "If that is intended, give --plain-http, or http:// in its hosts.toml"

/** OpenSSL's verdicts on certificates (verify(1)) and Node's on their names. */
const certificate = /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|CRL_|HOSTNAME_)/

const codeOf = (error: Error): string => ("code" in error && typeof error.code === "string" ? error.code : "")

/** The error that says most: the first of several addresses', and what lies below a wrapper. */
const innermost = (cause: unknown, depth = 0): unknown => {
  if (depth > 8 || !(cause instanceof Error) || known.has(codeOf(cause)) || speaksNoTls(codeOf(cause))) return cause
  if (cause instanceof AggregateError && cause.errors.length > 0) return innermost(cause.errors[0], depth + 1)
  return cause.cause === undefined ? cause : innermost(cause.cause, depth + 1)
}

export const describeNetworkFailure = (failure: unknown): NetworkFailure => {
  // The client's own errors carry the request, with its URL and headers: only what lies below them may be shown.
  const below = failure instanceof HttpClientError.TransportError || failure instanceof HttpClientError.DecodeError
  return describeFailure(below ? failure.cause : undefined)
}

/** As `describeNetworkFailure`, of an error that did not come through the HTTP client. */
export const describeFailure = (failure: unknown): NetworkFailure => {
  const cause = innermost(failure)
  if (!(cause instanceof Error)) return { reason: "the request could not be made", transient: false }
  const code = codeOf(cause)
  if (speaksNoTls(code)) return { reason: noTls, transient: false, cause }
  if (refusedCertificate.test(code)) {
    const reason = `the server wants a client certificate, or another one (${code}); give --tlscert and --tlskey`
    return { reason, transient: false, cause }
  }
  if (certificate.test(code)) {
    return {
      reason:
        `the certificate of the server is not trusted (${code}: ${cause.message}); ` +
        "give --tlscacert, or ca in its hosts.toml",
      transient: false,
      cause
    }
  }
  return {
    reason: code === "" ? cause.message : `${cause.message} (${code})`,
    transient: true,
    ...known.get(code),
    cause
  }
}
