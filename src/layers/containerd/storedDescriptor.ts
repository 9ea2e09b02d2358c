/**
 * Descriptors as containerd's API has them. It knows no platform, no URLs and no artifact type.
 */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Schema } from "effect"
import { type Descriptor, Digest } from "../../services/Descriptor.ts"
import type { Descriptor as ApiDescriptor, DescriptorSchema } from "./gen/types_pb.ts"

const isDigest = Schema.is(Digest)

/** `undefined` where it names no content that we could have: another digest algorithm, an impossible size. */
export const fromApi = (descriptor: ApiDescriptor | undefined): Descriptor | undefined => {
  if (descriptor === undefined || !isDigest(descriptor.digest)) return undefined
  const size = Number(descriptor.size)
  if (!Number.isSafeInteger(size) || size < 0) return undefined
  const { mediaType, digest, annotations } = descriptor
  return { mediaType, digest, size, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) }
}

export const toApi = (descriptor: Descriptor): MessageInitShape<typeof DescriptorSchema> => {
  const { mediaType, digest, size, annotations } = descriptor
  return { mediaType, digest, size: BigInt(size), ...(annotations === undefined ? {} : { annotations }) }
}
