/**
 * A connection to containerd, for one namespace. It is made by the first call, shared by all, and made again by the next call after it
 * was lost; it is closed with its scope.
 *
 * A call that finds nobody at the socket waits: ten seconds, or the limit that was set. Each answer has to come within
 * the patience. No call hangs for ever, and none is repeated by itself.
 */
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import { Client, connectivityState, credentials, Metadata } from "@grpc/grpc-js"
import { Context, Duration, Effect, Layer, type Scope, Stream } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import { ContainerdCallFailed, type ContainerdError, ContainerdUnreachable } from "./containerdErrors.ts"
import { defaultDialLimit, dial } from "./dial.ts"
import { callServerStream, callUnary, type Exchange, openExchange } from "./grpcCall.ts"
import { CurrentLease } from "./lease.ts"
import type { MethodOf } from "./methodDefinition.ts"

export interface ContainerdOptions {
  /** The path of the socket; `unix://` in front of it is left out. */
  readonly address: string
  readonly namespace: string
  /** How long to wait for the connection; without it, or with zero, ten seconds. */
  readonly timeout?: Duration.Input
  /** How long one answer may take: five minutes, because collecting garbage and committing large content take time. */
  readonly patience?: Duration.Input
}

export class ContainerdConnection extends Context.Service<
  ContainerdConnection,
  {
    /** The path of the socket. */
    readonly address: string
    readonly namespace: string
    readonly unary: <I extends DescMessage, O extends DescMessage>(
      method: MethodOf<I, O>,
      request: MessageInitShape<I>
    ) => Effect.Effect<MessageShape<O>, ContainerdError>
    readonly serverStream: <I extends DescMessage, O extends DescMessage>(
      method: MethodOf<I, O>,
      request: MessageInitShape<I>
    ) => Stream.Stream<MessageShape<O>, ContainerdError>
    readonly exchange: <I extends DescMessage, O extends DescMessage>(
      method: MethodOf<I, O>
    ) => Effect.Effect<Exchange<I, O>, ContainerdError, Scope.Scope>
  }
>()("effect-soci/layers/containerd/ContainerdConnection") {}

/** containerd takes and sends messages of at most 16 MiB. */
const maxMessageBytes = 16 * 1024 * 1024

const clientOptions = {
  "grpc.max_send_message_length": maxMessageBytes,
  "grpc.max_receive_message_length": maxMessageBytes,
  // A call that was sent may have taken effect: repeating it is for those who know what it means.
  "grpc.enable_retries": 0,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000
}

const defaultPatience = Duration.minutes(5)

/** The reference's `--address` may be a URL. */
export const socketPath = (address: string): string => address.replace(/^unix:\/\//, "")

export const layer = (options: ContainerdOptions): Layer.Layer<ContainerdConnection> =>
  Layer.effect(ContainerdConnection, make(options))

const make = Effect.fnUntraced(function* (options: ContainerdOptions) {
  const address = socketPath(options.address)
  const { namespace } = options
  const limit = Duration.fromInputUnsafe(options.timeout ?? 0)
  const dialLimit = Duration.isZero(limit) ? undefined : limit
  const patience = Duration.fromInputUnsafe(options.patience ?? defaultPatience)
  // gRPC would connect a closed client again.
  let closed = false
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new Client(`unix://${address}`, credentials.createInsecure(), clientOptions)),
    (opened) =>
      Effect.sync(() => {
        closed = true
        opened.close()
      })
  )

  /** Nothing where the connection stands. gRPC remembers failed attempts and would refuse calls for a while: it is waited for, too. */
  const connected = Effect.suspend((): Effect.Effect<void, ContainerdError> => {
    if (closed) return Effect.fail(connectionClosed)
    return client.getChannel().getConnectivityState(false) === connectivityState.READY
      ? Effect.void
      : Effect.andThen(dial(address, dialLimit), waitForReady(client, address, dialLimit ?? defaultDialLimit))
  })

  const metadata = Effect.gen(function* () {
    const lease = yield* CurrentLease
    const leased = lease?.address === address && lease.namespace === namespace
    return yield* metadataOf({ "containerd-namespace": namespace, ...(leased ? { "containerd-lease": lease.id } : {}) })
  })

  const prepared = Effect.andThen(
    connected,
    Effect.map(metadata, (value) => ({ client, metadata: value, patience }))
  )

  return ContainerdConnection.of({
    address,
    namespace,
    unary: (method, request) => Effect.flatMap(prepared, (call) => callUnary(call, method, request)),
    serverStream: (method, request) =>
      Stream.unwrap(Effect.map(prepared, (call) => callServerStream(call, method, request))),
    exchange: (method) => Effect.flatMap(prepared, (call) => openExchange(call, method))
  })
})

const connectionClosed = new ContainerdCallFailed({
  method: "",
  code: "CANCELLED",
  details: "the connection was closed with its scope"
})

const waitForReady = (client: Client, address: string, limit: Duration.Duration) =>
  Effect.callback<void, ContainerdUnreachable>((resume) =>
    client.waitForReady(Date.now() + Duration.toMillis(limit), (error) =>
      resume(
        error === undefined
          ? Effect.void
          : Effect.fail(
              new ContainerdUnreachable({
                address,
                reason: `connection error: desc = "${address} takes connections and speaks no gRPC"`,
                cause: error
              })
            )
      )
    )
  )

/** gRPC's metadata throws where a value, here a namespace, has characters that a header cannot have. */
const metadataOf = (values: Readonly<Record<string, string>>) =>
  Effect.try({
    try: () => {
      const metadata = new Metadata()
      for (const [key, value] of Object.entries(values)) metadata.set(key, value)
      return metadata
    },
    catch: (cause) =>
      new ContainerdCallFailed({ method: "", code: "INVALID_ARGUMENT", details: causeMessage(cause), cause })
  })
