/**
 * The reference's outputs for synthetic layers: from the full set beside the project where it is there, else from the archive in
 * `test/vectors`, which lacks the two largest layers. What the files are, their README says.
 */
import { existsSync, readFileSync } from "node:fs"
import { zstdDecompressSync } from "node:zlib"
import { TarReader } from "../../src/streams/codec/tar.ts"

/** One thing the reference built, or refused to build. */
export interface VectorJob {
  readonly layer: string
  readonly span_size: number
  readonly algorithm: string
  readonly build_tool_identifier: string
  readonly dump: string
  readonly ztoc?: string
}

export interface VectorSpan {
  readonly id: number
  readonly compressed_start: number
  readonly compressed_end: number
  readonly uncompressed_start: number
  readonly uncompressed_end: number
  readonly digest: string
}

/** The part of a dump that tests look at. */
export interface VectorDump {
  readonly build_error?: string
  readonly unmarshal_error?: string
  readonly remarshal_identical?: boolean
  readonly uncompressed_archive_size: number
  readonly max_span_id: number
  readonly spans?: ReadonlyArray<VectorSpan>
  readonly span_contents?: ReadonlyArray<{ readonly id: number; readonly sha256?: string; readonly error?: string }>
  readonly tar_header_offsets?: ReadonlyArray<number>
  readonly extract_file?: ReadonlyArray<{
    readonly name?: string
    readonly name_hex?: string
    readonly sha256?: string
    readonly error?: string
  }>
  readonly ranges?: ReadonlyArray<{ readonly offset: number; readonly length: number; readonly sha256?: string }>
  readonly consumer?: { readonly metadata_store: string; readonly span_manager?: string }
}

export interface NegativeVector {
  readonly name: string
  readonly ztoc: string
  readonly layer: string
  readonly mutation: string
  readonly outcome: "error" | "accepts" | "crash" | "hang"
  readonly stage: string
}

const fullSet = new URL("../../../shared/vectors/ztoc/", import.meta.url)
const archive = new URL("../vectors/ztoc.tar.zst", import.meta.url)

const unpack = (): ReadonlyMap<string, Buffer> => {
  const files = new Map<string, Buffer>()
  let name = ""
  const reader = new TarReader({
    onEntry: (entry) => {
      name = entry.name.replace(/^ztoc\//, "")
      files.set(name, Buffer.alloc(0))
    },
    onData: (bytes) => void files.set(name, Buffer.concat([files.get(name) ?? Buffer.alloc(0), bytes]))
  })
  const error = reader.push(zstdDecompressSync(readFileSync(archive))) ?? reader.end()
  if (error) throw error
  return files
}

let unpacked: ReadonlyMap<string, Buffer> | undefined

/** A file of the vectors; names are relative to their directory. */
export const readVector = (name: string): Buffer => {
  const plain = name.replace(/^negative\/\.\.\//, "")
  if (existsSync(fullSet)) return readFileSync(new URL(plain, fullSet))
  const file = (unpacked ??= unpack()).get(plain)
  if (file === undefined) throw new Error(`there is no vector ${plain}`)
  return file
}

const hasVector = (name: string): boolean => existsSync(fullSet) || (unpacked ??= unpack()).has(name)

export const readDump = (job: VectorJob): VectorDump => JSON.parse(readVector(job.dump).toString())

const allJobs: ReadonlyArray<VectorJob> = JSON.parse(readVector("index.json").toString())

export const vectorJobs: ReadonlyArray<VectorJob> = allJobs.filter(({ layer }) => hasVector(layer))

/** Jobs that the reference built, with the name of what it wrote. */
export const builtJobs = vectorJobs.flatMap((job) => (job.ztoc === undefined ? [] : [{ ...job, ztoc: job.ztoc }]))

export const negativeVectors: ReadonlyArray<NegativeVector> = JSON.parse(
  readVector("negative/negative.json").toString()
)
