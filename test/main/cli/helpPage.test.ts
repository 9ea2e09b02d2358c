import { assert, describe, it } from "@effect/vitest"
import { Context, Option } from "effect"
import type { HelpDoc } from "effect/cli"
import { listType } from "../../../src/main/cli/goFlags.ts"
import { helpPage } from "../../../src/main/cli/helpPage.ts"

const flag = (
  name: string,
  type: string,
  description?: string,
  aliases: ReadonlyArray<string> = []
): HelpDoc.FlagDoc => ({ name, type, description: Option.fromUndefinedOr(description), aliases, required: false })

const create: HelpDoc.HelpDoc = {
  description: "create SOCI index",
  usage: "",
  commandPath: ["soci", "create"],
  annotations: Context.empty(),
  args: [{ name: "image_ref", type: "string", description: Option.none(), required: false, variadic: false }],
  flags: [
    flag("all-platforms", "boolean"),
    flag("platform", listType, undefined, ["-p"]),
    flag("span-size", "int", "Span size (default: 4194304)")
  ],
  globalFlags: [
    flag("help", "boolean", "from the parser"),
    flag("address", "string", 'the server (default: "/run/c.sock") [$CONTAINERD_ADDRESS]', ["-a"])
  ]
}

/** The sample of the cli spec, section 1. Blanks at the ends of lines are part of it. */
const expected = [
  "NAME:",
  "   soci create - create SOCI index",
  "",
  "USAGE:",
  "   soci create [options] [flags] <image_ref>",
  "",
  "OPTIONS:",
  "   --all-platforms                                                ",
  "   --platform string, -p string [ --platform string, -p string ]  ",
  "   --span-size int                                                Span size (default: 4194304)",
  "   --help, -h                                                     show help",
  "",
  "GLOBAL OPTIONS:",
  '   --address string, -a string  the server (default: "/run/c.sock") [$CONTAINERD_ADDRESS]',
  ""
].join("\n")

describe("helpPage", () => {
  it("is laid out as the reference's, blanks at the ends of lines included", () =>
    assert.strictEqual(helpPage(create, "1"), expected))

  it("names the commands of a group, with their aliases, and help behind them", () => {
    const page = helpPage(
      {
        ...create,
        commandPath: ["soci", "index"],
        subcommands: [
          {
            group: undefined,
            commands: [{ name: "list", alias: "ls", shortDescription: undefined, description: "list indices" }]
          }
        ]
      },
      "1"
    )
    assert.include(page, "COMMANDS:\n   list, ls  list indices\n   help, h   Shows a list of commands")
    assert.include(page, "USAGE:\n   soci index [command [command options]]\n")
  })

  it("shows the version on the root's page only", () => {
    assert.include(helpPage({ ...create, commandPath: ["soci"] }, "7 abc"), "VERSION:\n   7 abc\n")
    assert.notInclude(helpPage(create, "7 abc"), "VERSION")
  })

  it("ends with examples where there are some", () => {
    const examples = [{ command: "soci create IMG", description: "Index an image" }]
    const page = helpPage({ ...create, examples }, "1")
    assert.isTrue(page.endsWith("\nEXAMPLES:\n   # Index an image\n   soci create IMG\n"))
  })
})
