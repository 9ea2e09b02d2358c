/**
 * Prints `N passed, N failed[, N skipped]` from a JSON report of vitest, and ends with 1 unless all is well.
 *
 *   node scripts/testSummary.mjs REPORT EXIT_CODE_OF_VITEST
 */
import { readFileSync } from "node:fs"

const readReport = (file) => {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch {
    return { testResults: [] }
  }
}

const { testResults } = readReport(process.argv[2])
const statuses = testResults.flatMap((file) => file.assertionResults.map(({ status }) => status))
const count = (...wanted) => statuses.filter((status) => wanted.includes(status)).length

/** A file that cannot be loaded has no tests to fail: it counts as one. */
const brokenFiles = testResults.filter(
  (file) => file.status === "failed" && !file.assertionResults.some(({ status }) => status === "failed")
).length
const passed = count("passed")
const skipped = count("skipped", "pending", "todo", "disabled")
const counted = count("failed") + brokenFiles

/** Nothing ran, or vitest saw an error outside of any test. */
const unseen = counted === 0 && (statuses.length === 0 || process.argv[3] !== "0") ? 1 : 0
const failed = counted + unseen

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`)
if (failed > 0) process.exitCode = 1
