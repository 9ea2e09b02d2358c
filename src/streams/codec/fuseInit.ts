/**
 * INIT of the FUSE kernel protocol: what kernel and server agree on (struct fuse_init_in, struct fuse_init_out).
 */
import { Errno } from "./fuse.ts"
import type { FuseReply } from "./fuseReply.ts"
import type { FuseRequest } from "./fuseRequest.ts"

const major = 7
/** 7.31 is Linux 5.4, the oldest that caches as we promise. */
const leastMinor = 31
/** The version whose structs this codec writes. */
const ownMinor = 40

const flag = {
  asyncRead: 1 << 0,
  readdirplus: 1 << 13,
  readdirplusAuto: 1 << 14,
  noOpenSupport: 1 << 17,
  parallelDirectoryOperations: 1 << 18,
  posixAcl: 1 << 20,
  maxPages: 1 << 22,
  cacheSymlinks: 1 << 23,
  noOpendirSupport: 1 << 24,
  initExt: 1 << 30
} as const

/** Bit 39 of the flags: the kernel can send requests again that a dead server had taken. */
const hasResendHigh = 1 << 7

const always =
  flag.asyncRead |
  flag.noOpenSupport |
  flag.parallelDirectoryOperations |
  flag.maxPages |
  flag.cacheSymlinks |
  flag.noOpendirSupport |
  flag.initExt

/** Bytes that one READ may ask for, and how far kernels read ahead. */
export const maxReadBytes = 1 << 20

/** We take no writes; the kernel insists on this much. */
export const maxWriteBytes = 4096

/** Reads without a waiting process (read-ahead) that may be in flight: enough that those that wait for spans do not hold up others. */
const maxBackground = 512
const congestionThreshold = 384

const pageBytes = 4096
const initReplyBytes = 64

/** What not every file system has. */
export interface FuseFeatures {
  /** Kernels enforce access lists, and ask for them. */
  readonly posixAcl: boolean
  /** Directories are listed with their entries' attributes, where kernels expect to need them. */
  readonly readdirplus: boolean
}

/** Answers INIT: the bytes of the reply, or the negative errno for a kernel that is too old. */
export const answerInit = (request: FuseRequest, reply: FuseReply, features: FuseFeatures): number => {
  const [kernelMajor, kernelMinor] = [request.uint32(0), request.uint32(4)]
  reply.zero(0, initReplyBytes)
  reply.uint32(0, major)
  reply.uint32(4, Math.min(kernelMinor, ownMinor))
  // A newer major version is told ours, and asks again.
  if (kernelMajor > major) return initReplyBytes
  if (kernelMajor < major || kernelMinor < leastMinor) return -Errno.EPROTO
  const offered = request.uint32(12)
  const wanted =
    always |
    (features.posixAcl ? flag.posixAcl : 0) |
    (features.readdirplus ? flag.readdirplus | flag.readdirplusAuto : 0)
  const offeredHigh = (offered & flag.initExt) !== 0 && request.bodyLength >= 20 ? request.uint32(16) : 0
  reply.uint32(8, maxReadBytes)
  reply.uint32(12, wanted & offered)
  reply.uint16(16, maxBackground)
  reply.uint16(18, congestionThreshold)
  reply.uint32(20, maxWriteBytes)
  reply.uint32(24, 1)
  reply.uint16(28, maxReadBytes / pageBytes)
  reply.uint32(32, offeredHigh & hasResendHigh)
  return initReplyBytes
}
