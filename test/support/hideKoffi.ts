/**
 * With `--import`: a process, its threads too, in which koffi cannot be loaded.
 */
import { registerHooks } from "node:module"

registerHooks({
  resolve: (specifier, context, next) => {
    if (specifier === "koffi") throw new Error("koffi has no binary for this machine")
    return next(specifier, context)
  }
})
