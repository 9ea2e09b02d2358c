/**
 * What the doctor found about one thing: whether it works, what that means, and how to get it.
 */
export type FindingState =
  /** It is there and does what we need. */
  | "ok"
  /** It is not there. */
  | "missing"
  /** It is there and does not work. */
  | "broken"

export interface Finding {
  readonly subject: string
  readonly state: FindingState
  /** Whether nothing works without it; what is not needed makes things better. */
  readonly needed: boolean
  /** What was found and what it means. */
  readonly detail: string
  /** What to do about it; empty if there is nothing to do. */
  readonly remedy: string
}

/** What a check looks at, and how much depends on it. */
export interface Subject {
  readonly subject: string
  readonly needed: boolean
}

export const found = ({ subject, needed }: Subject, detail: string): Finding => ({
  subject,
  needed,
  state: "ok",
  detail,
  remedy: ""
})

export const missing = ({ subject, needed }: Subject, detail: string, remedy: string): Finding => ({
  subject,
  needed,
  state: "missing",
  detail,
  remedy
})

export const broken = ({ subject, needed }: Subject, detail: string, remedy: string): Finding => ({
  subject,
  needed,
  state: "broken",
  detail,
  remedy
})

export const isFailure = ({ state, needed }: Finding): boolean => needed && state !== "ok"

const indent = " ".repeat(9)

/** Names that others chose cannot write on the terminal. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}+/gu, " ")

/** A line of what was found, one of what to do. */
export const formatFinding = ({ subject, state, needed, detail, remedy }: Finding): string => {
  const optional = state === "ok" || needed ? "" : " (can do without)"
  const lines = [`${state.padEnd(indent.length)}${subject}: ${printable(detail)}${optional}`]
  return [...lines, ...(remedy === "" ? [] : [`${indent}-> ${printable(remedy)}`])].join("\n")
}
