/**
 * Runs a fuzz program's cases. Case i of a run with seed s is the only case of the run with seed s + i.
 */
import { Random } from "./Random.ts"

export interface FuzzProgram {
  readonly name: string
  /** Cases of a run without arguments. */
  readonly count: number
  /** Throws, or fails, when the code under test does not do what it must. */
  readonly check: (random: Random) => void | Promise<void>
}

/** Runs the cases; the first that fails ends the run, with its seed in the message. */
export const runFuzz = async ({ name, check }: FuzzProgram, seed: number, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    try {
      await check(new Random(seed + i))
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`npm run fuzz ${name} ${seed + i} 1 fails: ${reason}`, { cause })
    }
  }
}

/** The program with the arguments of its process: SEED COUNT. */
export const fuzzMain = async (program: FuzzProgram): Promise<void> => {
  const [seed = "1", count = String(program.count)] = process.argv.slice(2)
  const start = performance.now()
  await runFuzz(program, Number(seed), Number(count))
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${program.name}: ${count} cases from seed ${seed} in ${seconds} s, nothing found`)
}
