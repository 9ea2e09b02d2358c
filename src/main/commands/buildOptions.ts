/**
 * What the flags of `soci create` and `soci convert` say about building (cli spec, section 3), and in which order they are refused.
 */
import { Effect, Option, Result, Schema } from "effect"
import * as fs from "node:fs/promises"
import { getSystemErrorMap } from "node:util"
import type { IndexBuildOptions } from "../../services/IndexBuilder.ts"
import { defaultBuildToolIdentifier } from "../../services/ZtocBuilder.ts"
import { causeMessage } from "../../services/causeMessage.ts"
import { parseJson } from "../../streams/codec/goJson.ts"
import { CommandRefused } from "../commandFailure.ts"

export interface BuildFlags {
  readonly spanSize: number
  readonly minLayerSize: number
  readonly optimizations: ReadonlyArray<string>
  readonly force: boolean
  readonly prefetchFiles: ReadonlyArray<string>
  /** Empty where there is none. */
  readonly prefetchFilesJson: string
}

const refuse = (reason: string) => new CommandRefused({ reason })

/** An argument that must be there. */
export const required = (argument: Option.Option<string>, reason: string): Effect.Effect<string, CommandRefused> =>
  Option.isSome(argument) && argument.value !== "" ? Effect.succeed(argument.value) : Effect.fail(refuse(reason))

/** Whether layers without extended attributes are to be marked: the only optimization there is. */
export const readOptimizations = (optimizations: ReadonlyArray<string>): Effect.Effect<boolean, CommandRefused> => {
  const unknown = optimizations.find((name) => name !== "xattr")
  return unknown === undefined
    ? Effect.succeed(optimizations.length > 0)
    : Effect.fail(refuse(`optimization ${unknown} is not a valid optimization [xattr]`))
}

/** Longer lists are no lists of files. */
const maxListBytes = 4 * 1024 * 1024

/** What the system calls an error, as Go says it too. */
const systemMessage = (cause: unknown): string => {
  const errno = cause instanceof Error && "errno" in cause && typeof cause.errno === "number" ? cause.errno : undefined
  return (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? causeMessage(cause)
}

const readList = async (file: string): Promise<Uint8Array> => {
  const handle = await fs.open(file)
  try {
    const { size } = await handle.stat()
    if (size > maxListBytes) throw new Error(`it has ${size} bytes, at most ${maxListBytes} are read`)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

/** What Go calls the kinds of JSON values. */
const kindOf = (value: unknown): string => {
  if (Array.isArray(value)) return "array"
  if (typeof value === "boolean") return "bool"
  return value === null ? "null" : typeof value
}

const isText = Schema.is(Schema.String)

const listOf = (value: unknown): Result.Result<ReadonlyArray<string>, string> => {
  if (value === null) return Result.succeed([])
  if (!Array.isArray(value))
    return Result.fail(`json: cannot unmarshal ${kindOf(value)} into Go value of type []string`)
  const texts = value.filter(isText)
  if (texts.length === value.length) return Result.succeed(texts)
  const wrong: unknown = value.find((element) => !isText(element))
  return Result.fail(`json: cannot unmarshal ${kindOf(wrong)} into Go value of type string`)
}

const listFailed = (reason: string) =>
  refuse(`failed to parse prefetch files: failed to load prefetch files from JSON: ${reason}`)

const readPrefetchJson = Effect.fnUntraced(function* (file: string) {
  const bytes = yield* Effect.tryPromise({
    try: () => readList(file),
    catch: (cause) => listFailed(`failed to read JSON file: open ${file}: ${systemMessage(cause)}`)
  })
  const value = yield* Effect.try({
    try: () => parseJson(bytes),
    catch: (cause) => listFailed(`failed to parse JSON: ${causeMessage(cause)}`)
  })
  return yield* Effect.mapError(Effect.fromResult(listOf(value)), (reason) =>
    listFailed(`failed to parse JSON: ${reason}`)
  )
})

/** The files of the flag, then those of the list; blanks around them do not count. */
const readPrefetchPaths = Effect.fnUntraced(function* ({ prefetchFiles, prefetchFilesJson }: BuildFlags) {
  const listed = prefetchFilesJson === "" ? [] : yield* readPrefetchJson(prefetchFilesJson)
  return [...prefetchFiles, ...listed].map((file) => file.trim()).filter((file) => file !== "")
})

export const readBuildOptions = Effect.fnUntraced(function* (
  flags: BuildFlags,
  xattrOptimization: boolean
): Effect.fn.Return<Omit<IndexBuildOptions, "onEvent">, CommandRefused> {
  const prefetchPaths = yield* readPrefetchPaths(flags)
  if (flags.spanSize < 0) return yield* refuse("span size must be >= 0")
  if (flags.minLayerSize < 0) return yield* refuse("min layer size must be >= 0")
  return {
    spanSize: flags.spanSize,
    minLayerSize: flags.minLayerSize,
    buildToolIdentifier: defaultBuildToolIdentifier,
    xattrOptimization,
    forceRecreate: flags.force,
    prefetchPaths,
    gcRootLabel: false
  }
})
