/**
 * Uploads in parts (distribution-spec, "Pushing a blob in chunks"): what a registry has of a broken upload is not sent
 * again.
 */
import { Effect, Result, Stream } from "effect"
import { drain } from "./exchange.ts"
import { ExchangeFailed, isExchangeFailed } from "./exchangeFailed.ts"
import { makePartReader } from "./partReader.ts"
import type { RegistryExchange } from "./endpointClient.ts"
import type { RegistryClient } from "./registryClient.ts"
import type { Purpose } from "./registryErrors.ts"
import { describeStatus, pause } from "./retryPolicy.ts"
import { nextUrl, type UploadSession, uploadRequest } from "./uploadSession.ts"

/** Where an upload stands: so many bytes are there, the rest goes to this URL. */
interface Position {
  readonly url: string
  readonly offset: number
}

/** The number of bytes that an answer says are there: the header tells the last one, counted from 0. */
const bytesThere = (exchange: RegistryExchange): number | undefined => {
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(exchange.headers["range"] ?? "")?.[1]
  // Registries say 0-0 of an upload that has nothing yet; of one byte they say the same.
  return last === undefined ? undefined : last === "0" ? 0 : Number(last) + 1
}

const broken = (exchange: RegistryExchange) =>
  Effect.flatMap(describeStatus(exchange), (reason) =>
    Effect.fail(new ExchangeFailed({ reason, transient: exchange.status === 416, status: exchange.status }))
  )

export const uploadParts = Effect.fnUntraced(function* (
  client: RegistryClient,
  purpose: Purpose,
  session: UploadSession,
  blob: {
    readonly size: number
    readonly partBytes: number
    readonly content: Stream.Stream<Uint8Array, ExchangeFailed>
  }
) {
  const { size, partBytes, content } = blob
  let position: Position = { url: session.url, offset: 0 }

  const sendPart = Effect.fnUntraced(function* (part: Stream.Stream<Uint8Array, ExchangeFailed>, length: number) {
    const { url, offset } = position
    const exchange = yield* client.requestAt(
      session.endpoint,
      {
        ...uploadRequest(purpose, "PATCH"),
        path: "",
        headers: { "content-range": `${offset}-${offset + length - 1}` },
        upload: { content: part, size: length }
      },
      url
    )
    if (exchange.status !== 202 && exchange.status !== 201 && exchange.status !== 204) return yield* broken(exchange)
    yield* drain(exchange)
    const there = bytesThere(exchange) ?? offset + length
    position = { url: nextUrl(exchange) ?? url, offset: there }
    if (there !== offset + length) {
      const reason = `the registry has ${there} bytes where ${offset + length} were sent`
      return yield* new ExchangeFailed({ reason, transient: true })
    }
  }, Effect.scoped)

  /** From where the upload stands to its end. */
  const sendRest = Effect.gen(function* () {
    const reader = yield* makePartReader(content)
    yield* Stream.runDrain(reader.take(position.offset))
    while (position.offset < size) {
      const length = Math.min(partBytes, size - position.offset)
      yield* sendPart(reader.take(length), length)
    }
    yield* reader.finish
  }).pipe(Effect.scoped)

  /** What the registry has. One that does not know the upload any more makes it begin anew. */
  const askPosition = Effect.gen(function* () {
    const exchange = yield* client.requestAt(
      session.endpoint,
      { ...uploadRequest(purpose, "GET"), path: "" },
      position.url
    )
    const there = bytesThere(exchange)
    if (exchange.status !== 204 && exchange.status !== 200 && exchange.status !== 202) return yield* broken(exchange)
    if (there === undefined || there > size) {
      return yield* new ExchangeFailed({
        reason: "the registry does not say how much of the upload it has",
        transient: true
      })
    }
    yield* drain(exchange)
    position = { url: nextUrl(exchange) ?? position.url, offset: there }
  }).pipe(Effect.scoped)

  let failures = 0
  for (;;) {
    const begun = position.offset
    const sent = yield* Effect.result(sendRest)
    if (Result.isSuccess(sent)) return position.url
    const failure = sent.failure
    if (!isExchangeFailed(failure) || !failure.transient) return yield* Effect.fail(failure)
    if (failures === client.settings.retries) return yield* failure
    yield* pause(client.settings, failures, failure)
    yield* askPosition
    // An upload that breaks often may go on for as long as it gets on.
    failures = position.offset > begun ? 0 : failures + 1
  }
})
