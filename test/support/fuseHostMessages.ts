/**
 * What a test and a process that serves its mounts say to each other. Serialized with structured cloning.
 */
import type { MountFailed, OpaqueXattr } from "../../src/services/FuseDriver.ts"

/** A layer's spans, whose reads wait in the test's process. */
export interface HostedSpans {
  readonly id: number
  readonly layer: string
  readonly path: string
  readonly size: number
  readonly table: Uint8Array
}

export type HostRequest =
  | {
      readonly type: "mountTree"
      readonly mountPoint: string
      readonly source: string
      readonly opaqueXattr: OpaqueXattr
      readonly tree: Uint8Array
      readonly spans: HostedSpans
    }
  | { readonly type: "mountBlobs"; readonly mountPoint: string; readonly source: string }
  | { readonly type: "addLayer"; readonly mount: number; readonly name: string; readonly spans: HostedSpans }
  | { readonly type: "addBytes"; readonly mount: number; readonly name: string; readonly bytes: Uint8Array }
  | { readonly type: "counts"; readonly mount: number }
  /** Closes the scope of an earlier request. */
  | { readonly type: "close"; readonly of: number }

export type SupplyAnswer =
  | { readonly kind: "local" }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly reason: string }

export type ToHost =
  | { readonly type: "request"; readonly id: number; readonly request: HostRequest }
  | { readonly type: "supplied"; readonly read: number; readonly answer: SupplyAnswer }
  | { readonly type: "end" }

export type HostAnswer =
  | { readonly type: "done" }
  | { readonly type: "shown"; readonly path: string }
  | { readonly type: "counted"; readonly requests: number; readonly waited: number }
  | {
      readonly type: "failed"
      readonly mountPoint: string
      readonly reason: string
      readonly errno: MountFailed["errno"]
    }

export type FromHost =
  | { readonly type: "ready" }
  | { readonly type: "answer"; readonly id: number; readonly answer: HostAnswer }
  | {
      readonly type: "supply"
      readonly read: number
      readonly spans: number
      readonly offset: number
      readonly length: number
    }
  | { readonly type: "giveUp"; readonly read: number }
