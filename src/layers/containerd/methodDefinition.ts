/**
 * How `@grpc/grpc-js` calls and serves a method whose messages were generated from a .proto file.
 */
import {
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary
} from "@bufbuild/protobuf"
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js"

/** A method with the types of its messages. */
export type MethodOf<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly input: I
  readonly output: O
}

/** The same bytes as a Buffer. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const methodDefinition = <I extends DescMessage, O extends DescMessage>({
  parent,
  name,
  methodKind,
  input,
  output
}: MethodOf<I, O>): MethodDefinition<MessageShape<I>, MessageShape<O>> => ({
  path: `/${parent.typeName}/${name}`,
  requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
  responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
  requestSerialize: (message) => asBuffer(toBinary(input, message)),
  requestDeserialize: (bytes) => fromBinary(input, bytes),
  responseSerialize: (message) => asBuffer(toBinary(output, message)),
  responseDeserialize: (bytes) => fromBinary(output, bytes)
})

/** For a server: its methods by their names with a lower-case initial. */
export const serviceDefinition = (service: DescService): ServiceDefinition =>
  Object.fromEntries(service.methods.map((method) => [method.localName, methodDefinition(method)]))
