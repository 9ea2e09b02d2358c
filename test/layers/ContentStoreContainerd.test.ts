import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as ContentStoreContainerd from "../../src/layers/ContentStoreContainerd.ts"
import { containerd, missingForContainerd } from "../support/containerd.ts"
import { contentStoreContract } from "../support/contentStoreContract.ts"

/** What no lease or image holds is garbage; these tests are not about that. */
const collectsOnDemand = `[plugins."io.containerd.gc.v1.scheduler"]\nstartup_delay = "24h"\nmutation_threshold = 0`

describe.skipIf(missingForContainerd !== "")(
  `with containerd (missing here: ${missingForContainerd || "nothing"})`,
  () => {
    contentStoreContract(
      "ContentStoreContainerd",
      containerd({ config: collectsOnDemand }).pipe(
        Effect.map(({ address }) => ContentStoreContainerd.layer({ address, namespace: "default" })),
        Layer.unwrap
      )
    )
  }
)
