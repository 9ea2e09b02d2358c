/**
 * Results for machines: one JSON value on standard output, two blanks a level.
 */
import { Stream } from "effect"
import { writeStandardOutput } from "./standardOutput.ts"

export const printJson = (value: unknown) => writeStandardOutput(Stream.succeed(`${JSON.stringify(value, null, 2)}\n`))
