/**
 * Whether a thread has been killed but cannot end yet (proc(5), status).
 */
import { readFileSync } from "node:fs"

/** SIGKILL is bit 8. Each thread of a process that must end has it, whatever signal was sent. */
const pendingSignals = /^S(?:ig|hd)Pnd:\s*([0-9a-f]+)$/gm
const killBit = 1n << 8n

/** False for a thread of which nothing is known: one of another process namespace, or one that has gone. */
export const isBeingKilled = (thread: number): boolean => {
  try {
    const status = readFileSync(`/proc/${thread}/status`, "latin1")
    return [...status.matchAll(pendingSignals)].some(([, signals]) => (BigInt(`0x${signals ?? "0"}`) & killBit) !== 0n)
  } catch {
    return false
  }
}
