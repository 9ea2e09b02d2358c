/**
 * Whether containerd answers, which one it is, which namespaces it has, and whether it knows our snapshotter.
 */
import { Duration, Effect } from "effect"
import * as ContainerdConnection from "../../layers/containerd/ContainerdConnection.ts"
import type { ContainerdError } from "../../layers/containerd/containerdErrors.ts"
import { Introspection } from "../../layers/containerd/gen/introspection_pb.ts"
import { Namespaces } from "../../layers/containerd/gen/namespaces_pb.ts"
import { Version } from "../../layers/containerd/gen/version_pb.ts"
import { broken, type Finding, found, missing, type Subject } from "./Finding.ts"

/** Images of registries and files are converted and mounted without it. */
const containerd: Subject = { subject: "containerd", needed: false }
const namespaces: Subject = { subject: "containerd namespaces", needed: false }
const snapshotter: Subject = { subject: "soci snapshotter", needed: false }

const snapshotterType = "io.containerd.snapshotter.v1"
const pluginName = "soci"

/** More than this is not shown. */
const shownNamespaces = 10

const registration =
  `[proxy_plugins.${pluginName}] with type = "snapshot" and ` +
  `address = "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock" in /etc/containerd/config.toml, then restart containerd`

const { ContainerdConnection: Connection } = ContainerdConnection

const call = <A>(ask: (connection: typeof Connection.Service) => Effect.Effect<A, ContainerdError>) =>
  Connection.use(ask)

const orBroken = (subject: Subject) =>
  Effect.catch((error: ContainerdError) =>
    Effect.succeed<Finding>(broken(subject, error.message, "see containerd's log"))
  )

const namespacesFinding = (wanted: string) =>
  call((connection) => connection.unary(Namespaces.method.list, {})).pipe(
    Effect.map((answer) => {
      const names = answer.namespaces.map(({ name }) => name)
      if (!names.includes(wanted)) {
        const others = names.slice(0, shownNamespaces).join(", ") || "none"
        return missing(namespaces, `there is no ${wanted}; there are: ${others}`, "give --namespace, or pull an image")
      }
      return found(namespaces, names.slice(0, shownNamespaces).join(", "))
    }),
    orBroken(namespaces)
  )

const snapshotterFinding = call((connection) =>
  connection.unary(Introspection.method.plugins, { filters: [`type==${snapshotterType}`] })
).pipe(
  Effect.map(({ plugins }) =>
    plugins.some(({ type, id }) => type === snapshotterType && id === pluginName)
      ? found(snapshotter, `containerd has a proxy plugin "${pluginName}"`)
      : missing(snapshotter, "containerd starts no image lazily", registration)
  ),
  orBroken(snapshotter)
)

const versionFinding = call((connection) => connection.unary(Version.method.version, {})).pipe(
  Effect.map(({ version }) => found(containerd, `version ${version}`))
)

/** What to do about it is said by the finding. */
const reasonOf = (error: ContainerdError): string =>
  error._tag === "ContainerdUnreachable" ? error.reason : error.message

export interface ContainerdAddress {
  readonly address: string
  readonly namespace: string
}

export const containerdFindings = (at: ContainerdAddress): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const version = yield* versionFinding
    return [
      { ...version, detail: `${version.detail} at ${at.address}` },
      yield* namespacesFinding(at.namespace),
      yield* snapshotterFinding
    ]
  }).pipe(
    Effect.catch((error) =>
      Effect.succeed([
        missing(
          containerd,
          `nobody answers at ${at.address} (${reasonOf(error)}): create, convert and push work on files and registries only`,
          "apt-get install containerd, systemctl start containerd, or give --address"
        )
      ])
    ),
    Effect.provide(ContainerdConnection.layer({ ...at, timeout: Duration.seconds(2), patience: Duration.seconds(10) }))
  )
