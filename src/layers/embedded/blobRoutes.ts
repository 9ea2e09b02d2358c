/**
 * Blobs of the embedded registry, whole or one range of them (RFC 9110, 14).
 */
import { Effect, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { Digest } from "../../services/Descriptor.ts"
import { refused } from "./answer.ts"
import type { Traffic } from "./traffic.ts"

interface Range {
  readonly start: number
  /** Exclusive. */
  readonly end: number
}

/**
 * The range a request asks for: `undefined` for the whole blob, which is also what requests get that ask for several ranges or
 * in a form we do not know; "none" where the blob has no such bytes.
 */
export const parseRange = (header: string | undefined, size: number): Range | "none" | undefined => {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "") ?? []
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined
  if (first === "") return Number(last) === 0 ? "none" : { start: Math.max(0, size - Number(last)), end: size }
  const start = Number(first)
  if (last !== "" && Number(last) < start) return undefined
  return start >= size ? "none" : { start, end: last === "" ? size : Math.min(size, Number(last) + 1) }
}

export const serveBlob = Effect.fnUntraced(function* (
  store: ContentStore["Service"],
  traffic: Traffic,
  digest: Digest
) {
  const request = yield* HttpServerRequest.HttpServerRequest
  if (request.method !== "GET" && request.method !== "HEAD") {
    return yield* refused("UNSUPPORTED", "blobs can be read, and uploaded below blobs/uploads/")
  }
  const descriptor = yield* store
    .resolve(digest)
    .pipe(Effect.catchTag("ContentNotFound", () => Effect.fail(refused("BLOB_UNKNOWN", `there is no blob ${digest}`))))
  const { size } = descriptor
  const range = parseRange(request.headers["range"], size)
  if (range === "none") {
    return HttpServerResponse.empty({ status: 416, headers: { "content-range": `bytes */${size}` } })
  }
  const { start, end } = range ?? { start: 0, end: size }
  if (range !== undefined) yield* traffic.count("rangeRequests")
  // No digest is checked on the way out: who asked will, and knows only then which range of which blob it is.
  const body = Stream.unwrap(Effect.map(store.open(descriptor), (blob) => blob.read(start, end - start))).pipe(
    traffic.counting("blobBytesServed")
  )
  return HttpServerResponse.stream(body, {
    status: range === undefined ? 200 : 206,
    contentType: "application/octet-stream",
    contentLength: end - start,
    headers: {
      "docker-content-digest": digest,
      "accept-ranges": "bytes",
      ...(range === undefined ? {} : { "content-range": `bytes ${start}-${end - 1}/${size}` })
    }
  })
})
