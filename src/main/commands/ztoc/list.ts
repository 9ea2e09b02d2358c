/**
 * `soci ztoc list`: the ztocs the artifacts data base knows, in the order of their digests.
 */
import { Effect, Option, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { ArtifactsDb } from "../../../services/ArtifactsDb.ts"
import { artifactsDbIn } from "../../artifactsDb.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { listTable } from "../listTable.ts"
import { writeStandardOutput } from "./standardOutput.ts"
import { rootFlag } from "./ztocInput.ts"

const ztocRows = (wanted: Option.Option<string>) =>
  ArtifactsDb.use(({ entries }) =>
    entries.pipe(
      Stream.filter(({ type, digest }) => type === "soci_layer" && Option.getOrElse(wanted, () => digest) === digest),
      Stream.runCollect
    )
  )

export const list = Command.make(
  "list",
  {
    ztocDigest: Flag.String("ztoc-digest").pipe(Flag.withDescription("filter ztocs by digest"), Flag.optional),
    imageRef: Flag.String("image-ref").pipe(
      Flag.withDescription("filter ztocs to those of an image in containerd (not in this version)"),
      Flag.optional
    ),
    quiet: Flag.Boolean("quiet").pipe(
      Flag.withAlias("q"),
      Flag.withDescription("only display the ztoc digests"),
      Flag.withDefault(false)
    ),
    root: rootFlag
  },
  Effect.fnUntraced(function* ({ ztocDigest, imageRef, quiet, root }) {
    if (Option.isSome(imageRef)) {
      return yield* new CommandRefused({
        reason: `the ztocs of ${imageRef.value} are found through containerd, which this version does not ask; leave --image-ref out`
      })
    }
    const rows = yield* ztocRows(ztocDigest).pipe(Effect.provide(artifactsDbIn(root)))
    if (rows.length === 0 && Option.isSome(ztocDigest)) {
      const reason = "the specified ztoc doesn't exist or is not associated with the specified image"
      return yield* new CommandRefused({ reason })
    }
    const text = quiet
      ? rows.map(({ digest }) => `${digest}\n`).join("")
      : listTable([
          ["DIGEST", "SIZE", "LAYER DIGEST"],
          ...rows.map(({ digest, size, originalDigest }) => [digest, String(size), originalDigest])
        ])
    yield* writeStandardOutput(Stream.succeed(Buffer.from(text)))
  })
).pipe(Command.withAlias("ls"), Command.withDescription("list ztocs"))
