/**
 * All checks of `soci doctor`, and what it prints.
 */
import { Console, Effect } from "effect"
import { Address, Namespace, Root } from "../cli/globalFlags.ts"
import { ExitWith } from "../commandFailure.ts"
import { containerdFindings } from "./containerdFindings.ts"
import { credentialFindings } from "./credentialFindings.ts"
import { type Finding, formatFinding, isFailure } from "./Finding.ts"
import { kernelFindings } from "./kernelFindings.ts"
import { machineFindings } from "./machineFindings.ts"
import { type ExaminedImage, registryFindings } from "./registryFindings.ts"
import { removeStale, staleFindings } from "./staleMounts.ts"

export interface Examination {
  readonly image: ExaminedImage | undefined
  readonly json: boolean
  readonly fix: boolean
}

const summary = (findings: ReadonlyArray<Finding>): string => {
  const failures = findings.filter(isFailure).map(({ subject }) => subject)
  return failures.length === 0 ? "Everything that is needed is there." : `Needed and not there: ${failures.join(", ")}.`
}

/** Ends with 1 where something needed is missing. */
export const examine = Effect.fnUntraced(function* ({ fix, image, json }: Examination) {
  const [root, address, namespace] = [yield* Root, yield* Address, yield* Namespace]
  const findings: Array<Finding> = []
  // Line by line: some checks take their time.
  const report = Effect.fnUntraced(function* (found: ReadonlyArray<Finding>) {
    findings.push(...found)
    if (!json) yield* Effect.forEach(found, (finding) => Console.log(formatFinding(finding)), { discard: true })
  })
  yield* report(yield* kernelFindings)
  yield* report(yield* machineFindings(root))
  yield* report(yield* fix ? removeStale(root, Console.error) : staleFindings(root))
  yield* report(yield* containerdFindings({ address, namespace }))
  yield* report(yield* credentialFindings)
  if (image !== undefined) yield* report(yield* registryFindings(image))
  const ok = !findings.some(isFailure)
  yield* Console.log(json ? JSON.stringify({ ok, findings }, undefined, 2) : summary(findings))
  if (!ok) return yield* new ExitWith({ code: 1 })
})
