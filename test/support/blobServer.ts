/**
 * One blob and one manifest, and servers that give them out as they should or wrong in one exact way.
 */
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { ServerResponse } from "node:http"
import { MediaType } from "../../src/services/MediaType.ts"
import { descriptorOf, json, noise } from "./content.ts"
import { type Answer, faultServer } from "./faultServer.ts"
import { registryFetcher } from "./registryFetcher.ts"

export const content = noise(400_000)
export const blob = descriptorOf(content)
export const manifestBytes = json({
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: descriptorOf(json({}), MediaType.ociConfig),
  layers: []
})
export const manifest = descriptorOf(manifestBytes, MediaType.ociManifest)

export const bytesOf = <E, R>(stream: Stream.Stream<Uint8Array, E, R>) =>
  Effect.map(Stream.runCollect(stream), (chunks) => Buffer.concat(chunks))

export const expectContent = (bytes: Uint8Array, start = 0, end = content.length) =>
  assert.isTrue(Buffer.from(content.subarray(start, end)).equals(bytes), "the bytes are those of the content")

const rangeOf = (header: string | undefined): readonly [start: number, end: number] => {
  const [, first = "0", last = ""] = /^bytes=(\d+)-(\d*)$/.exec(header ?? "bytes=0-") ?? []
  return [Number(first), last === "" ? content.length : Number(last) + 1]
}

/** Serves the content as it should be served: whole, or the range that is asked for. */
export const serveContent: Answer = (request, response) => {
  if (request.headers.range === undefined) {
    response.writeHead(200, { "content-length": content.length }).end(content)
    return
  }
  const [start, end] = rangeOf(request.headers.range)
  const headers = { "content-length": end - start, "content-range": `bytes ${start}-${end - 1}/${content.length}` }
  response.writeHead(206, headers).end(content.subarray(start, end))
}

export const status = (response: ServerResponse, code: number, headers: Record<string, string> = {}) =>
  response.writeHead(code, { "content-length": 0, ...headers }).end()

/** Answers the first requests with the given answers, one after the other, and the rest as it should be. */
export const first = (...answers: ReadonlyArray<Answer>): Answer => {
  let count = 0
  return (request, response) => (answers[count++] ?? serveContent)(request, response)
}

export const breakAfter =
  (bytes: number): Answer =>
  (request, response) => {
    const [start, end] = rangeOf(request.headers.range)
    const headers = { "content-length": end - start }
    const partial = { ...headers, "content-range": `bytes ${start}-${end - 1}/${content.length}` }
    response.writeHead(start > 0 ? 206 : 200, start > 0 ? partial : headers)
    response.write(content.subarray(start, start + bytes), () => setImmediate(() => response.destroy()))
  }

export const in1 = (host: string) => ({ host, repository: "team/app" })

/** Sends everything, whatever range is asked for. */
export const sendWhole: Answer = (_, response) => {
  response.writeHead(200, { "content-length": content.length }).end(content)
}

/** Promises 1000 bytes, and sends them. */
export const sendShort: Answer = (_, response) => {
  response.writeHead(200, { "content-length": 1000 }).end(content.subarray(0, 1000))
}

/** Sends a part of the content under a head of the test's choice. */
export const sendPart =
  (start: number, end: number, headers: Record<string, string>): Answer =>
  (_, response) => {
    response.writeHead(206, headers).end(content.subarray(start, end))
  }

/** Sends some bytes of a body that never ends. */
export const stall: Answer = (_, response) => {
  response.writeHead(200).write(content.subarray(0, 10))
}

export const answerWith =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void status(response, code, headers)

/** A server, a fetcher, and what comes of fetching the blob from there. */
export const fetchFrom = Effect.fnUntraced(function* (
  answer: Answer,
  options: Parameters<typeof registryFetcher>[0] = {}
) {
  const server = yield* faultServer(answer)
  const registry = yield* registryFetcher(options)
  return { ...server, registry, fetched: bytesOf(registry.fetch(in1(server.host), blob)) }
})
