/**
 * Reads JSON as Go's encoding/json reads it into a structure (index-and-artifacts, section 3, rule 7): unknown members
 * are dropped, member names match whatever their case, of duplicates the last wins, `null` leaves the default. Wrong
 * types pass through: the schema that reads the result refuses them, and says where.
 */
import type { CanonicalValue } from "./canonicalJson.ts"

/** Brings one value into its canonical form. */
export type Form = (value: unknown) => unknown

interface Member {
  readonly name: string
  readonly form: Form
  /** What stands in the structure when the document does not have the member; `undefined` leaves it out. */
  readonly absent: unknown
}

export const leaf: Form = (value) => value

export const optional = (name: string, form: Form = leaf): Member => ({ name, form, absent: undefined })

export const required = (name: string, absent: unknown, form: Form = leaf): Member => ({ name, form, absent })

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A structure. `null` inside a list is a structure without members, as it is in Go. */
export const structure = (...members: ReadonlyArray<Member>): Form => {
  const known = new Map(members.map((member) => [member.name.toLowerCase(), member]))
  return (value) => {
    if (value !== null && !isRecord(value)) return value
    const read: Record<string, unknown> = {}
    for (const { name, absent } of members) if (absent !== undefined) read[name] = absent
    for (const [name, given] of Object.entries(value ?? {})) {
      const member = known.get(name.toLowerCase())
      if (member !== undefined && given !== null) read[member.name] = member.form(given)
    }
    return read
  }
}

export const list =
  (form: Form): Form =>
  (value) =>
    Array.isArray(value) ? value.map(form) : value

/** A map of texts: a `null` in it is an empty text, unpaired surrogates in keys are replaced. */
export const textMap: Form = (value) => {
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, text]) => [key.toWellFormed(), text ?? ""]))
}

/** The one JSON value in some UTF-8; throws a `SyntaxError` for anything else. A byte-order mark is no JSON. */
export const parseJson = (bytes: Uint8Array): unknown =>
  JSON.parse(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes))

/** Parsed JSON as it would be written again; `undefined` for what is no JSON. */
export const asCanonical = (value: unknown): CanonicalValue | undefined => {
  if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return value
  if (Array.isArray(value)) return value.map((element: unknown) => asCanonical(element) ?? null)
  if (!isRecord(value)) return undefined
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, asCanonical(member)]))
}
