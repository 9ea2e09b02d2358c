/**
 * How the embedded registry says no (distribution-spec, "Error Codes").
 */
import { Data } from "effect"
import { HttpServerResponse } from "effect/http"
import type { ErrorCode } from "./route.ts"

/** A request that is answered with an error. */
export class Refused extends Data.TaggedError("Refused")<{
  readonly status: number
  readonly code: ErrorCode
  readonly message: string
  readonly headers?: Readonly<Record<string, string>>
}> {}

export const refusal = ({ status, code, message, headers = {} }: Refused) =>
  HttpServerResponse.jsonUnsafe({ errors: [{ code, message }] }, { status, headers })

const statuses: Partial<Record<ErrorCode, number>> = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_UNKNOWN: 404,
  MANIFEST_UNKNOWN: 404,
  NAME_UNKNOWN: 404,
  UNSUPPORTED: 405,
  TOOMANYREQUESTS: 429,
  INTERNAL: 500
}

export const refused = (code: ErrorCode, message: string, headers?: Readonly<Record<string, string>>) =>
  new Refused({ status: statuses[code] ?? 400, code, message, ...(headers === undefined ? {} : { headers }) })
