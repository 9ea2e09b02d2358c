/**
 * All checks of `soci doctor`, and what it prints.
 */
import { Console, Duration, Effect } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import { Address, Namespace, Root } from "../cli/globalFlags.ts"
import { ExitWith } from "../commandFailure.ts"
import { containerdFindings } from "./containerdFindings.ts"
import { credentialFindings } from "./credentialFindings.ts"
import { broken, type Finding, formatFinding, isFailure } from "./Finding.ts"
import { kernelFindings } from "./kernelFindings.ts"
import { machineFindings } from "./machineFindings.ts"
import { type ExaminedImage, registryFindings } from "./registryFindings.ts"
import { removeStale, staleFindings } from "./staleMounts.ts"

const patience = Duration.minutes(2)

export interface Examination {
  readonly image: ExaminedImage | undefined
  readonly json: boolean
  readonly fix: boolean
}

/** No check keeps the others from being made: what it cannot tell, it says. */
const guarded = (
  subject: string,
  check: Effect.Effect<ReadonlyArray<Finding>>
): Effect.Effect<ReadonlyArray<Finding>> => {
  const about = { subject, needed: true }
  return check.pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.succeed([broken(about, `no answer within ${Duration.format(patience)}`, "try again")])
    }),
    Effect.catchDefect((defect) =>
      Effect.succeed([broken(about, `the check itself failed: ${causeMessage(defect)}`, "please report this")])
    )
  )
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
  yield* report(yield* guarded("kernel", kernelFindings))
  yield* report(yield* guarded("machine", machineFindings(root)))
  yield* report(yield* guarded("stale mounts", fix ? removeStale(root, Console.error) : staleFindings(root)))
  yield* report(yield* guarded("containerd", containerdFindings({ address, namespace })))
  yield* report(yield* guarded("docker configuration", credentialFindings))
  if (image !== undefined) yield* report(yield* guarded("image", registryFindings(image)))
  const ok = !findings.some(isFailure)
  yield* Console.log(json ? JSON.stringify({ ok, findings }, undefined, 2) : summary(findings))
  if (!ok) return yield* new ExitWith({ code: 1 })
})
