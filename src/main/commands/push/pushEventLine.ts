/**
 * What is said of each step of a push, as the reference says it.
 */
import type { PushEvent } from "../../../services/GraphPusher.ts"

export const pushEventLine = ({ _tag, descriptor }: PushEvent): string => {
  if (_tag === "Skipped") return `skipped artifact with digest: ${descriptor.digest}`
  return `${_tag === "Pushing" ? "pushing" : "successfully pushed"} artifact with digest: ${descriptor.digest}`
}
