/**
 * The maps of sparse files in tars: GNU PAX formats 0.0, 0.1 and 1.0 and the old GNU format (ztoc spec, 6.4).
 */
import { parseInt64, type PaxRecords } from "./pax.ts"
import { fieldNumber } from "./tarHeader.ts"

/** A stretch of data in the expanded file; what is between two of them is a hole. */
export interface SparseData {
  readonly offset: bigint
  readonly length: bigint
}

/** Which PAX sparse format an entry is in, if any. */
export const sparseFormat = (records: PaxRecords): "0.x" | "1.0" | undefined => {
  const major = records.get("GNU.sparse.major") ?? ""
  const minor = records.get("GNU.sparse.minor") ?? ""
  if (major === "0" && (minor === "0" || minor === "1")) return "0.x"
  if (major === "1" && minor === "0") return "1.0"
  if (major !== "" || minor !== "") return undefined
  return (records.get("GNU.sparse.map") ?? "") === "" ? undefined : "0.x"
}

/** The map of format 0.0 and 0.1, from the records. */
export const sparseMapOfRecords = (records: PaxRecords): ReadonlyArray<SparseData> | undefined => {
  const count = parseInt64(records.get("GNU.sparse.numblocks") ?? "")
  const text = records.get("GNU.sparse.map") ?? ""
  const numbers = text === "" ? [] : text.split(",")
  if (count === undefined || count < 0n || BigInt(numbers.length) !== 2n * count) return undefined
  return pairsOf(numbers.map(parseInt64))
}

/** Pairs of offset and length; undefined when one of the numbers is none. */
export const pairsOf = (numbers: ReadonlyArray<bigint | undefined>): ReadonlyArray<SparseData> | undefined => {
  const map: Array<SparseData> = []
  for (let i = 0; i + 1 < numbers.length; i += 2) {
    const offset = numbers[i]
    const length = numbers[i + 1]
    if (offset === undefined || length === undefined) return undefined
    map.push({ offset, length })
  }
  return map
}

/** Ascending, without overlap and inside the expanded size. */
export const isValidSparseMap = (map: ReadonlyArray<SparseData>, size: bigint): boolean => {
  let end = 0n
  for (const { offset, length } of map) {
    if (offset < end || length < 0n || offset + length > size) return false
    end = offset + length
  }
  return size >= 0n
}

/** One block of an old GNU sparse map: its entries, and whether another block follows. */
export const oldSparseEntries = (
  block: Buffer,
  at: { readonly first: number; readonly count: number; readonly extended: number }
): { readonly map: ReadonlyArray<SparseData> | undefined; readonly extended: boolean } => {
  const numbers: Array<bigint | undefined> = []
  for (let i = 0; i < at.count; i++) {
    const offset = at.first + 24 * i
    if (block[offset] === 0) break
    numbers.push(fieldNumber(block, offset, 12), fieldNumber(block, offset + 12, 12))
  }
  return { map: pairsOf(numbers), extended: (block[at.extended] ?? 0) > 0 }
}
