/**
 * What a cause says, for the message of the error that wraps it.
 */
export const causeMessage = (cause: unknown): string => {
  if (cause instanceof Error) return cause.message
  // Not everything that is thrown can become text.
  return typeof cause === "string" ? cause : `an unknown cause (${typeof cause})`
}
