/**
 * fallocate(2) through koffi: gives the room of a part of a file back, which then reads as zeros.
 */
import { answered, koffi } from "./koffi.ts"

const keepSize = 1
const punch = 2

let fallocate: ((descriptor: number, mode: number, offset: number, length: number) => number) | undefined

/** 0, or a negative errno: EOPNOTSUPP where the file system has no holes. */
export const punchHole = (descriptor: number, offset: number, length: number): number => {
  fallocate ??= koffi().load(null).func("int fallocate64(int descriptor, int mode, int64_t offset, int64_t length)")
  return answered(fallocate(descriptor, punch | keepSize, offset, length))
}
