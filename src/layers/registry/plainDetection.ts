/**
 * Finds out whether a server on this machine speaks TLS: registries for development mostly do not, and nobody wants to
 * say so each time. Only a server that answers a TLS greeting with something else is spoken to in plain text.
 */
import { Effect, Fiber, FiberMap, Option } from "effect"
import { connect } from "node:tls"
import { errorCode } from "../layout/layoutFailure.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import { describeFailure, speaksNoTls } from "./networkFailure.ts"
import type { RegistryEndpoint } from "./registryEndpoint.ts"

type Scheme = "http" | "https"

/**
 * Some servers wait for the end of a line before they complain; the next greeting has other random bytes, mostly with
 * one.
 */
const attempts = 3
const answerTimeout = "1 second"

const greeting = (authority: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { hostname, port } = new URL(`https://${authority}`)
      const host = hostname.replace(/^\[(.*)\]$/, "$1")
      // Nothing is sent: who the server is, its first request finds out.
      return connect({ host, port: port === "" ? 443 : Number(port), rejectUnauthorized: false })
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const greet = Effect.fnUntraced(function* (authority: string) {
  const socket = yield* greeting(authority)
  return yield* Effect.callback<Scheme, ExchangeFailed>((resume) => {
    socket.once("secureConnect", () => resume(Effect.succeed("https")))
    socket.on("error", (cause) => {
      if (speaksNoTls(errorCode(cause))) return resume(Effect.succeed("http"))
      const { reason, transient } = describeFailure(cause)
      return resume(new ExchangeFailed({ reason: `${authority}: ${reason}`, transient, cause }))
    })
  })
}, Effect.scoped)

const detect = (authority: string, left: number): Effect.Effect<Scheme, ExchangeFailed> =>
  Effect.timeoutOrElse(greet(authority), {
    duration: answerTimeout,
    orElse: () =>
      left > 1
        ? detect(authority, left - 1)
        : Effect.fail(new ExchangeFailed({ reason: `${authority} does not answer to TLS`, transient: true }))
  })

/** Servers that are remembered; the oldest are forgotten first. */
const maxRemembered = 1000

export interface PlainDetection {
  /** The scheme of an endpoint: asked once, however many requests wait for the answer. */
  readonly schemeOf: (endpoint: RegistryEndpoint) => Effect.Effect<Scheme, ExchangeFailed>
  /** Another server may listen there by now. */
  readonly forget: (endpoint: RegistryEndpoint) => Effect.Effect<void>
}

export const makePlainDetection = Effect.gen(function* () {
  const known = new Map<string, Scheme>()
  const running = yield* FiberMap.make<string, Scheme, ExchangeFailed>()
  const start = yield* FiberMap.runtime(running)()

  const remember = (authority: string) => (scheme: Scheme) =>
    Effect.sync(() => {
      const [oldest] = known.keys()
      if (known.size >= maxRemembered && oldest !== undefined) known.delete(oldest)
      known.set(authority, scheme)
    })

  const find = (authority: string): Effect.Effect<Scheme, ExchangeFailed> =>
    Effect.suspend(() => {
      const scheme = known.get(authority)
      if (scheme !== undefined) return Effect.succeed(scheme)
      return Fiber.join(
        Option.getOrElse(FiberMap.getUnsafe(running, authority), () =>
          start(authority, Effect.tap(detect(authority, attempts), remember(authority)))
        )
      )
    })

  return {
    schemeOf: ({ scheme, authority }) => (scheme === "detect" ? find(authority) : Effect.succeed(scheme)),
    forget: ({ authority }) => Effect.sync(() => known.delete(authority))
  } satisfies PlainDetection
})
