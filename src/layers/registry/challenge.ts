/**
 * The header WWW-Authenticate (RFC 9110, 11.6.1; distribution-spec, "Token Authentication"): what a registry wants to
 * see.
 */
export interface BearerChallenge {
  readonly scheme: "bearer"
  readonly realm: string
  readonly service: string | undefined
  readonly scope: string | undefined
}

export type Challenge = { readonly scheme: "basic" } | BearerChallenge

/** No registry needs more; what is longer is not looked at. */
const maxHeaderLength = 8192

const parameter = /([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g

/** Where a challenge begins: a word that is not the name of a parameter. */
const schemeStart = /(?:^|,)\s*(basic|bearer)(?=\s|,|$)/gi

/** The first challenge that we can answer, bearer before basic; `undefined` where there is none. */
export const parseChallenge = (header: string | undefined): Challenge | undefined => {
  if (header === undefined || header.length > maxHeaderLength) return undefined
  const starts = [...header.matchAll(schemeStart)]
  const bearer = starts.findIndex((match) => match[1]?.toLowerCase() === "bearer")
  const start = starts[bearer]
  if (start !== undefined) {
    const text = header.slice(start.index + start[0].length, starts[bearer + 1]?.index)
    const values = new Map(
      [...text.matchAll(parameter)].map(([, name = "", quoted, token]) => [
        name.toLowerCase(),
        quoted?.replaceAll(/\\(.)/g, "$1") ?? token
      ])
    )
    const realm = values.get("realm")
    if (realm) return { scheme: "bearer", realm, service: values.get("service"), scope: values.get("scope") }
  }
  return starts.some((match) => match[1]?.toLowerCase() === "basic") ? { scheme: "basic" } : undefined
}
