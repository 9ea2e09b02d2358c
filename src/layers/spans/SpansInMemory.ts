/**
 * Spans for which the disk has no room: the latest ones are held in memory, so that reads go on as long as the registry works.
 */

/** Those of one layer. */
export interface LayerMemory {
  get(span: number): Uint8Array | undefined
  put(span: number, bytes: Uint8Array): void
  delete(span: number): void
}

export class SpansInMemory {
  readonly #limit: number
  readonly #spans = new Map<string, Uint8Array>()
  #bytes = 0

  /** `limit` is the memory of all layers together; one span is held in any case. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** The spans of one layer, read in one way. */
  of(identity: string): LayerMemory {
    const keyOf = (span: number) => `${identity} ${span}`
    return {
      get: (span) => this.#spans.get(keyOf(span)),
      put: (span, bytes) => this.#put(keyOf(span), bytes),
      delete: (span) => this.#delete(keyOf(span))
    }
  }

  #put(key: string, bytes: Uint8Array): void {
    this.#delete(key)
    this.#spans.set(key, bytes)
    this.#bytes += bytes.length
    for (const [oldest, held] of this.#spans) {
      if (this.#bytes <= this.#limit || this.#spans.size === 1) return
      this.#spans.delete(oldest)
      this.#bytes -= held.length
    }
  }

  #delete(key: string): void {
    this.#bytes -= this.#spans.get(key)?.length ?? 0
    this.#spans.delete(key)
  }
}
