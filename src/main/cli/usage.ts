/**
 * What is printed in place of running a command: its page, or what is wrong with the arguments.
 */
import { Console, Effect } from "effect"
import type { CliError, CliOutput, HelpDoc } from "effect/cli"
import { ExitWith } from "../commandFailure.ts"
import { revision, version } from "../version.ts"
import { helpPage } from "./helpPage.ts"

/** Pages end with a newline of their own. */
export const showPage = (page: HelpDoc.HelpDoc): Effect.Effect<void> =>
  Console.log(helpPage(page, `${version} ${revision}`).trimEnd())

export const showVersion: Effect.Effect<void> = Console.log(`soci version ${version} ${revision}`)

const didYouMean = (suggestions: ReadonlyArray<string>): Effect.Effect<void> =>
  suggestions.length === 0 ? Effect.void : Console.error(`Did you mean ${suggestions.join(" or ")}?`)

/** The reason in front of the page, which is on standard output, and once more behind it. */
export const showUsageError = (
  page: HelpDoc.HelpDoc,
  reason: string,
  suggestions: ReadonlyArray<string> = []
): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* Console.error(`Incorrect Usage: ${reason}\n`)
    yield* showPage(page)
    yield* Console.error(`soci: ${reason}`)
    yield* didYouMean(suggestions)
  })

/** Exit code 3 is that of the reference. */
export const refuseCommand = (word: string, suggestions: ReadonlyArray<string>): Effect.Effect<never, ExitWith> =>
  Console.error(`No help topic for '${word}'`).pipe(
    Effect.andThen(didYouMean(suggestions)),
    Effect.andThen(Effect.fail(new ExitWith({ code: 3 })))
  )

/** In the words of the reference where it has them. */
const reasonOf = (error: CliError.NonShowHelpErrors): string => {
  if (error._tag === "InvalidValue" && error.kind === "flag") {
    // A choice is told by its quoted words.
    const expected = error.expected.startsWith('"') ? `expected ${error.expected}` : error.expected
    return `invalid value ${JSON.stringify(error.value)} for flag -${error.option}: ${expected}`
  }
  if (error._tag === "MissingOption") return `Required flag "${error.option}" not set`
  return error.message
}

/** For what the parser finds wrong with values. */
export const presenter: CliOutput.Presenter = {
  present: (event) => {
    if (event._tag === "Help") return showPage(event.helpDoc)
    if (event._tag === "Version") return showVersion
    const [first] = event.errors
    return showUsageError(event.helpDoc, first === undefined ? "the arguments are wrong" : reasonOf(first))
  }
}
