/**
 * A server that answers as a test says: to be wrong in one exact way.
 */
import { Effect } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage["headers"]
}

/** Serves on a free port of the loopback address until the scope ends, and remembers what it was asked. */
export const faultServer = Effect.fnUntraced(function* (answer: Answer) {
  const seen: Array<SeenRequest> = []
  const server = createServer((request, response) => {
    seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers })
    answer(request, response)
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  let connections = 0
  server.on("connection", () => connections++)
  const address = server.address()
  const port = address !== null && typeof address === "object" ? address.port : 0
  return { host: `127.0.0.1:${port}`, seen, connections: () => connections }
})
