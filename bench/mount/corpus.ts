/**
 * A layer of many small files and a big one, beside the same tree unpacked.
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import * as path from "node:path"

export interface CorpusOptions {
  readonly files: number
  readonly bigBytes: number
}

const filesPerDirectory = 100

/** Repeatable bytes that gzip makes about half of. */
const content = (seed: number, length: number): Buffer => {
  const unit = createHash("sha256").update(String(seed)).digest("hex")
  return Buffer.alloc(length, unit)
}

/** 200 bytes to 8 KiB, most of them small, as sources and configurations are. */
const sizeOf = (file: number): number => 200 + Math.floor(((file * 2_654_435_761) % 1000) ** 2 / 1000) * 8

/** Writes `<directory>/many/…` and `<directory>/big`; answers with the gzip layer of it. */
export const makeCorpus = (directory: string, layer: string, { files, bigBytes }: CorpusOptions): void => {
  for (let file = 0; file < files; file++) {
    const parent = path.join(directory, "many", `d${Math.floor(file / filesPerDirectory)}`)
    if (file % filesPerDirectory === 0) mkdirSync(parent, { recursive: true })
    writeFileSync(path.join(parent, `f${file}.conf`), content(file, sizeOf(file)))
  }
  const piece = 1024 * 1024
  const big = Buffer.alloc(bigBytes)
  for (let at = 0; at < bigBytes; at += 4096) content(at, 4096).copy(big, at)
  writeFileSync(path.join(directory, "big"), big.subarray(0, bigBytes - (bigBytes % piece)))
  execFileSync("sh", ["-c", 'tar -C "$1" -cf - . | gzip -1 > "$2"', "sh", directory, layer])
}
