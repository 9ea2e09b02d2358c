/**
 * How failed calls to containerd become errors of the content store.
 */
import { ContentNotFound, type ContentStoreError, ContentStoreFailed } from "../../services/ContentStore.ts"
import { type ContainerdError, hasCode } from "./containerdErrors.ts"

export type Operation = ContentStoreFailed["operation"]

export interface ContentFailures {
  readonly failure: (operation: Operation, reference: string, reason: string, cause?: unknown) => ContentStoreFailed
  /** An operation to which "not found" means nothing. */
  readonly failed: (operation: Operation, reference: string) => (cause: ContainerdError) => ContentStoreFailed
  /** An operation on content that has to be there. */
  readonly orNotFound: (operation: Operation, reference: string) => (cause: ContainerdError) => ContentStoreError
}

export const makeContentFailures = (store: string): ContentFailures => {
  const failure: ContentFailures["failure"] = (operation, reference, reason, cause) =>
    new ContentStoreFailed({ operation, store, reference, reason, ...(cause === undefined ? {} : { cause }) })
  const failed: ContentFailures["failed"] = (operation, reference) => (cause) =>
    failure(operation, reference, cause.message, cause)
  return {
    failure,
    failed,
    orNotFound: (operation, reference) => (cause) =>
      hasCode(cause, "NOT_FOUND") ? new ContentNotFound({ store, reference }) : failed(operation, reference)(cause)
  }
}
