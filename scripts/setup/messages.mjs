/** How the set-up speaks: whole lines on stderr, so that the output of what follows stays clean. */

/** The set-up cannot go on; the message says what is missing and how to get it. */
export class SetupError extends Error {}

export const note = (text) => {
  for (const line of text.split("\n")) console.error(`setup: ${line}`)
}
