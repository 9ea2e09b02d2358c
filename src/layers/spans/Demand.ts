/**
 * Whether somebody waits for spans of any layer, for those who only work when nobody does.
 */
import { type Effect, Latch } from "effect"

export class Demand {
  readonly #quiet = Latch.makeUnsafe(true)
  readonly #wanted = Latch.makeUnsafe(false)
  #waiting = 0

  /** Waits until nobody waits. */
  get quiet(): Effect.Effect<void> {
    return this.#quiet.await
  }

  /** Waits until somebody waits. */
  get wanted(): Effect.Effect<void> {
    return this.#wanted.await
  }

  begin(): void {
    if (this.#waiting++ > 0) return
    this.#quiet.closeUnsafe()
    this.#wanted.openUnsafe()
  }

  end(): void {
    if (--this.#waiting > 0) return
    this.#wanted.closeUnsafe()
    this.#quiet.openUnsafe()
  }
}
