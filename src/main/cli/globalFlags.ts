/**
 * The flags that every command has, at any place (cli spec, section 2). A handler reads one by `yield*`: `const root = yield* Root`. In a test
 * that runs a command without the frame: `Command.withGlobalFlags(globalFlags)`.
 */
import { Duration, Effect } from "effect"
import { Flag, GlobalFlag } from "effect/cli"
import { CommandRefused } from "../commandFailure.ts"
import { durationFlag, switchFlag, textFlag } from "./goFlags.ts"

/** containerd's socket, a path: a leading `unix://` has been taken away. */
export const Address = GlobalFlag.Setting("address")({
  flag: textFlag("address", "address for containerd's GRPC server", {
    default: "/run/containerd/containerd.sock",
    environment: "CONTAINERD_ADDRESS"
  }).pipe(
    Flag.withAlias("a"),
    Flag.map((address) => address.replace(/^unix:\/\//, ""))
  )
})

/** containerd's namespace. */
export const Namespace = GlobalFlag.Setting("namespace")({
  flag: textFlag("namespace", "namespace to use with commands", {
    default: "default",
    environment: "CONTAINERD_NAMESPACE"
  }).pipe(Flag.withAlias("n"))
})

/** For the whole command, which the frame ends by itself, and for dialling; zero is none. */
export const Timeout = GlobalFlag.Setting("timeout")({
  flag: durationFlag("timeout", "timeout for commands", Duration.zero)
})

/** More log lines; `push` prints its requests. */
export const Debug = GlobalFlag.Setting("debug")({ flag: switchFlag("debug", "enable debug output") })

/** As it was given; `contentStoreKind` says which it is. */
export const ContentStoreName = GlobalFlag.Setting("content-store")({
  flag: textFlag("content-store", "use a specific content store (soci or containerd)", { default: "containerd" })
})

/** The directory of the data base and of the soci content store; it exists once a command of the reference runs. */
export const Root = GlobalFlag.Setting("root")({
  flag: textFlag("root", "path to the root directory for this snapshotter", {
    default: "/var/lib/soci-snapshotter-grpc/"
  })
})

export const globalFlags = [Address, Namespace, Timeout, Debug, ContentStoreName, Root] as const

/** Which content store was asked for; fails where the reference opens the store, not before. */
export const contentStoreKind = Effect.gen(function* () {
  const name = (yield* ContentStoreName) || "containerd"
  if (name === "soci" || name === "containerd") return name
  return yield* new CommandRefused({
    reason: `unknown content store type: ${name}; must be one of [soci containerd]`
  })
})
