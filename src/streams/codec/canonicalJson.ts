/**
 * JSON as Go's encoding/json writes it: compact, HTML characters escaped, map keys in the order of their UTF-8 bytes
 * (index-and-artifacts, section 3). Digests of the documents we write depend on every byte of it.
 */

/**
 * What can be written. A plain object is a structure: its members are written in the order they were given, those that
 * are `undefined` are left out. A `Map` is a map: its keys are sorted.
 */
export type CanonicalValue =
  | string
  | number
  | boolean
  | null
  | ReadonlyArray<CanonicalValue>
  | ReadonlyMap<string, CanonicalValue>
  | { readonly [member: string]: CanonicalValue | undefined }

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"]
])

// eslint-disable-next-line no-control-regex -- control characters are what has to be escaped
const escaped = /["\\<>&\u2028\u2029\u0000-\u001f]/g

const escapeCharacter = (character: string): string =>
  shortEscapes.get(character) ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

const writeString = (text: string): string => `"${text.toWellFormed().replace(escaped, escapeCharacter)}"`

/** Orders text by its UTF-8 bytes, which is the order of code points and not that of UTF-16 units. */
export const compareUtf8 = (left: string, right: string): number => {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    if (left.charCodeAt(index) === right.charCodeAt(index)) continue
    // Both units may be the second of a pair whose first is equal: those compare like the code points do.
    return (left.codePointAt(index) ?? 0) - (right.codePointAt(index) ?? 0)
  }
  return left.length - right.length
}

const isMap = (value: CanonicalValue): value is ReadonlyMap<string, CanonicalValue> => value instanceof Map

const isArray = (value: CanonicalValue): value is ReadonlyArray<CanonicalValue> => Array.isArray(value)

export const canonicalJson = (value: CanonicalValue): string => {
  if (typeof value === "string") return writeString(value)
  if (value === null || typeof value !== "object") return String(value)
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`
  const members: Array<string> = []
  const write = (name: string, member: CanonicalValue) => members.push(`${writeString(name)}:${canonicalJson(member)}`)
  if (isMap(value)) {
    for (const [name, member] of [...value].sort(([left], [right]) => compareUtf8(left, right))) write(name, member)
  } else {
    for (const [name, member] of Object.entries(value)) if (member !== undefined) write(name, member)
  }
  return `{${members.join(",")}}`
}

export const encodeCanonicalJson = (value: CanonicalValue): Uint8Array => new TextEncoder().encode(canonicalJson(value))
