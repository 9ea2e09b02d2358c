/**
 * Flags whose values are read as the reference reads them, with its words for what is wrong. A flag's help names its default and its environment
 * variable; list flags are marked by their type, which the help page and the arrangement of arguments go by.
 */
import { Config, Duration, Effect, Result } from "effect"
import { CliError, Flag } from "effect/cli"
import { parseGoDuration } from "../../streams/codec/goDuration.ts"
import { parseGoInteger, parseGoUnsigned } from "../../streams/codec/goInteger.ts"

/** The type of flags that may be given more than once. */
export const listType = "list"

/** What stands in the help behind a flag's description. */
export interface FlagNotes {
  /** As it is shown: quoted if it is text. */
  readonly default?: string
  /** The variable that is taken where the flag is not given. */
  readonly environment?: string
}

/** A description with its notes, in the reference's spelling. */
export const describeFlag = (text: string, notes: FlagNotes = {}): string =>
  [
    text,
    ...(notes.default === undefined ? [] : [`(default: ${notes.default})`]),
    ...(notes.environment === undefined ? [] : [`[$${notes.environment}]`])
  ]
    .filter((part) => part !== "")
    .join(" ")

const parsed = <A>(name: string, parse: (text: string) => Result.Result<A, string>, type: string) =>
  Flag.String(name).pipe(
    Flag.mapEffect((value) =>
      Result.match(parse(value), {
        onSuccess: Effect.succeed,
        onFailure: (expected) => Effect.fail(new CliError.InvalidValue({ option: name, value, expected, kind: "flag" }))
      })
    ),
    Flag.withMetavar(type)
  )

/** Text from the flag, else from the environment where it says something, else the default. */
export const textFlag = (
  name: string,
  text: string,
  options: { readonly default: string; readonly environment?: string }
): Flag.Flag<string> => {
  const { environment } = options
  const notes = {
    ...(options.default === "" ? {} : { default: JSON.stringify(options.default) }),
    ...(environment === undefined ? {} : { environment })
  }
  const flag = Flag.String(name).pipe(Flag.withDescription(describeFlag(text, notes)))
  if (environment === undefined) return Flag.withDefault(flag, options.default)
  const fallback = Config.map(Config.withDefault(Config.String(environment), ""), (value) => value || options.default)
  return Flag.withFallbackConfig(flag, fallback)
}

/** False unless given. */
export const switchFlag = (name: string, text = ""): Flag.Flag<boolean> => {
  const flag = Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDefault(false))
  return text === "" ? flag : Flag.withDescription(flag, text)
}

/** Texts that are given by repeating the flag, by commas, or both. */
export const listFlag = (name: string, text = ""): Flag.Flag<ReadonlyArray<string>> => {
  const flag = Flag.String(name).pipe(Flag.withMetavar(listType))
  return (text === "" ? flag : Flag.withDescription(flag, text)).pipe(
    Flag.atLeast(0),
    Flag.map((values) => values.flatMap((value) => value.split(",").map((entry) => entry.trim())))
  )
}

/** A signed integer of 64 bits; beyond 2^53 it is rounded, which is far outside anything that is counted here. */
export const integerFlag = (name: string, text: string, fallback: number): Flag.Flag<number> =>
  parsed(name, (value) => Result.map(parseGoInteger(value), Number), "int").pipe(
    Flag.withDescription(describeFlag(text, { default: String(fallback) })),
    Flag.withDefault(fallback)
  )

/** An unsigned integer of 64 bits, exact. */
export const unsignedFlag = (name: string, text: string, fallback: bigint): Flag.Flag<bigint> =>
  parsed(name, parseGoUnsigned, "uint").pipe(
    Flag.withDescription(describeFlag(text, { default: String(fallback) })),
    Flag.withDefault(fallback)
  )

/** A duration in Go's spelling, such as `1m30s`; negative ones are zero. */
export const durationFlag = (name: string, text: string, fallback: Duration.Duration): Flag.Flag<Duration.Duration> =>
  parsed(
    name,
    (value) => Result.map(parseGoDuration(value), (nanoseconds) => Duration.nanos(nanoseconds < 0n ? 0n : nanoseconds)),
    "duration"
  ).pipe(
    Flag.withDescription(describeFlag(text, { default: `${Duration.toSeconds(fallback)}s` })),
    Flag.withDefault(fallback)
  )
