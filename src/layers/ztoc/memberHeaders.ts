/**
 * Checks the header of every gzip member by the rules of the reader that lists the tar, which are stricter than zlib's (ztoc spec,
 * 3.4). A header may lie across chunks.
 */
import * as Result from "effect/Result"
import { parseGzipHeader } from "../../streams/codec/gzipHeader.ts"
import type { ListingError } from "./tocListing.ts"

export class MemberHeaders {
  #chunk: Uint8Array = new Uint8Array(0)
  #chunkStart = 0
  /** The beginning of a header whose end is still to come. */
  #pending: Uint8Array | undefined
  #start = 0

  /** The next bytes of the layer; finishes a header begun earlier. */
  push(chunk: Uint8Array): ListingError | undefined {
    this.#chunkStart += this.#chunk.length
    this.#chunk = chunk
    return this.#pending ? this.#check(Buffer.concat([this.#pending, chunk.subarray(0, 128 * 1024)])) : undefined
  }

  /** A member begins at `offset` of the layer, in the latest chunk. */
  begin(offset: number): ListingError | undefined {
    this.#start = offset
    return this.#check(this.#chunk.subarray(offset - this.#chunkStart))
  }

  #check(bytes: Uint8Array): ListingError | undefined {
    const header = parseGzipHeader(bytes)
    const truncated = Result.isFailure(header) && header.failure.truncated
    this.#pending = truncated ? Buffer.from(bytes) : undefined
    if (Result.isSuccess(header) || truncated) return undefined
    const { reason } = header.failure
    return { reason: this.#start === 0 ? reason : `error while reading tar header: ${reason}`, offset: this.#start }
  }
}
