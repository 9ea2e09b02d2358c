/** The version of the package; the build checks that it is that of package.json. */
export const version = "0.1.0"
