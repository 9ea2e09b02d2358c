/**
 * The flags of commands that talk to registries (cli spec, section 7). The reference takes most of them and ignores them; here they hold.
 */
import { Flag } from "effect/cli"
import { switchFlag, textFlag } from "../cli/sharedFlags.ts"

const pathFlag = (name: string, text: string) =>
  Flag.String(name).pipe(Flag.withDescription(text), Flag.withDefault(""))

export const registryFlags = {
  skipVerify: switchFlag("skip-verify", "skip SSL certificate validation").pipe(Flag.withAlias("k")),
  plainHttp: switchFlag("plain-http", "allow connections using plain HTTP"),
  user: Flag.Redacted("user").pipe(
    Flag.withAlias("u"),
    Flag.withDescription("user[:password] registry user and password; else docker's configuration is used"),
    Flag.optional
  ),
  hostsDir: pathFlag("hosts-dir", "custom hosts configuration directory"),
  tlscacert: pathFlag("tlscacert", "path to TLS root CA"),
  tlscert: pathFlag("tlscert", "path to TLS client certificate"),
  tlskey: pathFlag("tlskey", "path to TLS client key"),
  httpDump: switchFlag("http-dump", "dump all HTTP request/responses when interacting with container registry"),
  httpTrace: switchFlag("http-trace", "enable HTTP tracing for registry interactions")
}

/** Taken for the sake of scripts; they have no meaning for what is pushed. */
export const ignoredFlags = {
  refresh: switchFlag("refresh", "refresh token for authorization server (tokens are refreshed as needed)"),
  snapshotter: textFlag("snapshotter", "snapshotter name (of no influence)", {
    default: "",
    environment: "CONTAINERD_SNAPSHOTTER"
  })
}
