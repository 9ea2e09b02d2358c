/**
 * Runs every fuzz program with its own count, one after the other; the argument is the seed.
 */
import { fuzzMain } from "../support/fuzz.ts"
import { program as inflate } from "./inflate.ts"
import { program as layer } from "./layer.ts"
import { program as tar } from "./tar.ts"
import { program as zinfo } from "./zinfo.ts"
import { program as ztoc } from "./ztoc.ts"

for (const program of [tar, zinfo, ztoc, inflate, layer]) await fuzzMain(program)
