/**
 * Times of several rounds and what they say: the median, and how noisy the machine was.
 */
import { Duration, Effect } from "effect"

export const median = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0

/** Milliseconds by name, in the order in which they were first measured. */
export class Figures {
  readonly #times = new Map<string, Array<number>>()

  /** Runs and keeps the time. */
  time<A, E, R>(name: string, run: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.map(Effect.timed(run), ([duration, result]) => {
      this.add(name, Duration.toMillis(duration))
      return result
    })
  }

  add(name: string, milliseconds: number): void {
    const times = this.#times.get(name)
    if (times) times.push(milliseconds)
    else this.#times.set(name, [milliseconds])
  }

  median(name: string): number {
    return median(this.#times.get(name) ?? [])
  }

  print(): void {
    console.log(`${"ms".padEnd(52)} median      min      max`)
    for (const [name, times] of this.#times) {
      const columns = [median(times), Math.min(...times), Math.max(...times)]
      console.log(name.padEnd(50) + columns.map((time) => time.toFixed(time < 100 ? 2 : 0).padStart(9)).join(""))
    }
  }
}

/** A ratio or size that shall not exceed its target. */
export const printTarget = (name: string, value: number, target: number, unit = ""): void =>
  console.log(
    `${name.padEnd(50)} ${value.toFixed(unit === "" ? 2 : 0)}${unit}, target ${target}${unit}: ${value <= target ? "held" : "MISSED"}`
  )
