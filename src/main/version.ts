/**
 * The version of the package, and of which state of its sources this is.
 */

/** A test holds it to that of package.json. */
export const version = "0.1.0"

declare const SOCI_REVISION: string | undefined

/** The commit, which the build writes in place of the name. */
export const revision = typeof SOCI_REVISION === "string" ? SOCI_REVISION : "<unknown>"
