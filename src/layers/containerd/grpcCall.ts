/**
 * Calls of a gRPC client as effects. Interrupting one cancels the call. Each answer has to come within a patience; what
 * streams is pulled, so that a slow reader holds the server back.
 */
import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf"
import { type Client, type ClientReadableStream, type Metadata, status } from "@grpc/grpc-js"
import { Duration, Effect, Option, type Scope, Stream } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import { ContainerdCallFailed } from "./containerdErrors.ts"
import { methodDefinition, type MethodOf } from "./methodDefinition.ts"

/** What a call needs beside its method and its request. */
export interface CallOptions {
  readonly client: Client
  readonly metadata: Metadata
  /** How long one answer may take. */
  readonly patience: Duration.Duration
}

const hasStatus = (cause: unknown): cause is { readonly code: number; readonly details: string } =>
  cause instanceof Error && "code" in cause && "details" in cause && typeof cause.code === "number"

const failureOf = (method: string, cause: unknown): ContainerdCallFailed =>
  hasStatus(cause)
    ? new ContainerdCallFailed({
        method,
        code: status[cause.code] ?? String(cause.code),
        details: cause.details,
        cause
      })
    : new ContainerdCallFailed({ method, code: "UNKNOWN", details: causeMessage(cause), cause })

const tooLate = (method: string, patience: Duration.Duration) =>
  new ContainerdCallFailed({
    method,
    code: "DEADLINE_EXCEEDED",
    details: `no answer within ${Duration.format(patience)}`
  })

/** One request, one answer. */
export const callUnary = <I extends DescMessage, O extends DescMessage>(
  { client, metadata, patience }: CallOptions,
  method: MethodOf<I, O>,
  request: MessageInitShape<I>
): Effect.Effect<MessageShape<O>, ContainerdCallFailed> => {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method)
  return Effect.callback<MessageShape<O>, ContainerdCallFailed>((resume) => {
    const deadline = Date.now() + Duration.toMillis(patience)
    const message = create(method.input, request)
    const options = { deadline }
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      metadata,
      options,
      (error, answer) =>
        resume(error === null && answer !== undefined ? Effect.succeed(answer) : Effect.fail(failureOf(path, error)))
    )
    return Effect.sync(() => call.cancel())
  })
}

/** Takes the messages of a call one by one; none at its end. One fiber at a time may take. */
const makeReceiver = <A>(path: string, call: ClientReadableStream<A>, patience: Duration.Duration) => {
  let failure: ContainerdCallFailed | undefined
  let ended = false
  let waiting: (() => void) | undefined
  call.on("readable", () => waiting?.())
  call.on("end", () => {
    ended = true
    waiting?.()
  })
  // Stays for good: a cancelled call says so by an error, and one that nobody hears would end the process.
  call.on("error", (cause: unknown) => {
    failure = failureOf(path, cause)
    waiting?.()
  })
  const next = (): Effect.Effect<Option.Option<A>, ContainerdCallFailed> | undefined => {
    const message: A | null = call.read()
    if (message !== null) return Effect.succeed(Option.some(message))
    if (failure !== undefined) return Effect.fail(failure)
    return ended ? Effect.succeed(Option.none()) : undefined
  }
  const take = Effect.callback<Option.Option<A>, ContainerdCallFailed>((resume) => {
    const look = () => {
      const found = next()
      if (found === undefined) return
      // First: the fiber goes on within resume, and may be waiting again when that returns.
      waiting = undefined
      resume(found)
    }
    waiting = look
    look()
    return Effect.sync(() => {
      waiting = undefined
    })
  })
  return take.pipe(Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail(tooLate(path, patience)) }))
}

const cancelled = <A extends { cancel(): void }>(begin: () => A): Effect.Effect<A, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(begin), (call) => Effect.sync(() => call.cancel()))

/** One request, a stream of answers. */
export const callServerStream = <I extends DescMessage, O extends DescMessage>(
  { client, metadata, patience }: CallOptions,
  method: MethodOf<I, O>,
  request: MessageInitShape<I>
): Stream.Stream<MessageShape<O>, ContainerdCallFailed> => {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method)
  return cancelled(() =>
    client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, create(method.input, request), metadata)
  ).pipe(
    Effect.map((call) => {
      const take = makeReceiver(path, call, patience)
      return Stream.unfold(undefined, () =>
        Effect.map(take, (message) => (Option.isSome(message) ? ([message.value, undefined] as const) : undefined))
      )
    }),
    Stream.unwrap
  )
}

/** A call that answers each request before it takes the next. */
export interface Exchange<I extends DescMessage, O extends DescMessage> {
  /** Fails also where the server ends the call instead of answering. */
  readonly ask: (request: MessageInitShape<I>) => Effect.Effect<MessageShape<O>, ContainerdCallFailed>
}

/** A bidirectional call that is cancelled with its scope. Never is more than one request under way: the answer is the back pressure. */
export const openExchange = <I extends DescMessage, O extends DescMessage>(
  { client, metadata, patience }: CallOptions,
  method: MethodOf<I, O>
): Effect.Effect<Exchange<I, O>, never, Scope.Scope> => {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method)
  return Effect.map(
    cancelled(() => client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata)),
    (call) => {
      const take = makeReceiver(path, call, patience)
      const endedEarly = new ContainerdCallFailed({ method: path, code: "UNKNOWN", details: "it ended the call early" })
      return {
        ask: (request) =>
          Effect.suspend(() => {
            call.write(create(method.input, request))
            return Effect.flatMap(take, (answer) =>
              Option.isSome(answer) ? Effect.succeed(answer.value) : Effect.fail(endedEarly)
            )
          })
      }
    }
  )
}
