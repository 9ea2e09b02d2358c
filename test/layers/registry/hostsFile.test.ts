/**
 * The configuration of hosts: containerd's hosts.toml, the resolver of config.toml, and names that nobody configured.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { parseHostsFile } from "../../../src/layers/registry/hostsFile.ts"
import { registryHosts } from "../../../src/layers/registry/registryHosts.ts"
import { parseResolver } from "../../../src/layers/registry/resolverMirrors.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const nothing = { plainHttp: "loopback", tls: undefined, directory: undefined, mirrors: undefined } as const

describe("hosts.toml", () => {
  it("is read as containerd's documentation has it", () => {
    const entries = Result.getOrThrow(
      parseHostsFile(`
        server = "https://registry-1.docker.io"
        ca = "root.crt"
        [host."https://first.example:5000"]
          capabilities = ["pull", "Resolve"]
          ca = ["a.crt", "/etc/b.crt"]
          client = [["c.cert", "c.key"], ["d.pem"]]
          skip_verify = true
          [host."https://first.example:5000".header]
            X-One = "1"
            x-two = ["2", "3"]
        [host."http://second.example/prefix"]
          client = "e.pem"
          override_path = true
        [host."third.example"]
          client = ["f.pem", "g.pem"]
      `)
    )
    assert.deepStrictEqual(
      entries.map(({ url }) => url?.href),
      [
        "https://first.example:5000/",
        "http://second.example/prefix",
        "https://third.example/",
        "https://registry-1.docker.io/"
      ]
    )
    assert.deepStrictEqual(entries[0], {
      url: new URL("https://first.example:5000"),
      isServer: false,
      capabilities: ["pull", "resolve"],
      authorities: ["a.crt", "/etc/b.crt"],
      clients: [
        { certificate: "c.cert", key: "c.key" },
        { certificate: "d.pem", key: undefined }
      ],
      skipVerify: true,
      overridePath: false,
      headers: { "x-one": "1", "x-two": "2, 3" }
    })
    assert.deepStrictEqual(
      entries.map(({ clients }) => clients.length),
      [2, 1, 2, 0]
    )
    assert.deepStrictEqual(entries[3]?.authorities, ["root.crt"])
    assert.isTrue(entries[1]?.overridePath)
  })

  for (const [name, text, expected] of [
    ["a text that is no TOML", "server = ", ""],
    ["another type", `skip_verify = "yes"`, "skip_verify"],
    ["a table in place of a host", `host = 5`, "host"],
    [
      "an unknown capability",
      `[host."https://a.example"]\ncapabilities = ["fly"]`,
      `host."https://a.example": capabilities: "fly"`
    ],
    ["no URL", `[host."https://"]`, `"https://" is not the URL of a server`],
    ["a password in a URL", `server = "https://me:secret@a.example"`, "is not the URL"],
    ["three files for a client", `client = [["a", "b", "c"]]`, "client: expected a file"],
    ["a header that begins another", `[header]\nx = "a\\r\\nb: c"`, "header"]
  ] as const) {
    it(`with ${name} is refused, and the error says where`, () => {
      const parsed = parseHostsFile(text)
      if (Result.isSuccess(parsed)) return assert.fail("it was taken")
      assert.include(parsed.failure, expected)
    })
  }

  it.live("is found by host and port, then for all hosts; what it says of paths is kept", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const write = (host: string, text: string) =>
        Effect.promise(async () => {
          await fs.mkdir(path.join(directory, host), { recursive: true })
          await fs.writeFile(path.join(directory, host, "hosts.toml"), text)
        })
      yield* write("a.example_5000_", `server = "https://by-port.example/sub"`)
      yield* write("b.example:5000", `server = "https://by-colon.example/v2/"`)
      yield* write("_default", `[host."https://for-all.example/x"]\noverride_path = true`)
      yield* write("broken.example", "server = 5")
      const hosts = registryHosts({ ...nothing, directory })
      const paths = (host: string) =>
        Effect.map(hosts(host), (found) =>
          found.map(({ scheme, authority, apiPath }) => `${scheme}://${authority}${apiPath}`)
        )
      assert.deepStrictEqual(yield* paths("a.example:5000"), ["https://by-port.example/sub/v2"])
      assert.deepStrictEqual(yield* paths("b.example:5000"), ["https://by-colon.example/v2"])
      assert.deepStrictEqual(yield* paths("docker.io"), [
        "https://for-all.example/x",
        "https://registry-1.docker.io/v2"
      ])
      const error = yield* Effect.flip(hosts("broken.example"))
      assert.include(error.message, path.join(directory, "broken.example/hosts.toml"))
      assert.include(error.message, "server")
    })
  )

  it.live("names certificates that must be there, in the right form", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.promise(() => fs.mkdir(path.join(directory, "a.example")))
      yield* Effect.promise(() => fs.writeFile(path.join(directory, "a.example/hosts.toml"), `ca = "ca.crt"`))
      const hosts = registryHosts({ ...nothing, directory })
      assert.include(
        (yield* Effect.flip(hosts("a.example"))).message,
        "there is no such file, expected a CA certificate"
      )
      yield* Effect.promise(() => fs.writeFile(path.join(directory, "a.example/ca.crt"), "secret text"))
      const { message } = yield* Effect.flip(hosts("a.example"))
      assert.include(message, "expected a CA certificate in PEM form")
      assert.notInclude(message, "secret text")
    })
  )
})

const schemeOf = (host: string, plainHttp: boolean | "loopback") =>
  Effect.map(registryHosts({ ...nothing, plainHttp })(host), (found) =>
    found.map(({ scheme, authority }) => `${scheme} ${authority}`)
  )

describe("hosts that nobody configured", () => {
  it.live("are spoken to with TLS, but for those of this machine", () =>
    Effect.gen(function* () {
      for (const host of [
        "localhost",
        "localhost:5000",
        "127.0.0.1",
        "127.3.4.5:80",
        "[::1]",
        "[::1]:5000",
        "LOCALHOST"
      ]) {
        assert.deepStrictEqual(yield* schemeOf(host, "loopback"), [`detect ${host}`])
        assert.deepStrictEqual(yield* schemeOf(host, false), [`https ${host}`])
      }
      for (const host of ["a.example", "localhost.example", "128.0.0.1", "[fe80::1]:5000", "127.0.0.1.example"]) {
        assert.deepStrictEqual(yield* schemeOf(host, "loopback"), [`https ${host}`])
        assert.deepStrictEqual(yield* schemeOf(host, true), [`http ${host}`])
      }
      assert.deepStrictEqual(yield* schemeOf("docker.io", "loopback"), ["https registry-1.docker.io"])
    })
  )

  it.live("are refused where their names lead elsewhere", () =>
    Effect.gen(function* () {
      for (const host of ["", "..", "_default", "a/b", "a?b", "a b", "a#b", "me@a", "a:b"]) {
        assert.include((yield* Effect.flip(registryHosts(nothing)(host))).message, "is not the name of a host")
      }
    })
  )
})

describe("the resolver of config.toml", () => {
  it("gives a host its mirrors in their order", () => {
    const mirrors = Result.getOrThrow(
      parseResolver({
        auth_client_ttl_sec: 5,
        host: {
          "a.example": {
            mirrors: [
              { host: "one.example:5000" },
              { host: "two.example/proxy/", insecure: true, request_timeout_sec: 7 },
              { host: "http://three.example", request_timeout_sec: -1 }
            ]
          },
          "b.example": {}
        }
      })
    )
    assert.deepStrictEqual(
      mirrors
        .get("a.example")
        ?.map(({ scheme, authority, apiPath, timeoutMillis, capabilities }) => [
          `${scheme}://${authority}${apiPath}`,
          timeoutMillis,
          capabilities.join(" ")
        ]),
      [
        ["https://one.example:5000/v2", undefined, "pull resolve"],
        ["http://two.example/proxy", 7000, "pull resolve"],
        ["http://three.example/v2", Number.POSITIVE_INFINITY, "pull resolve"]
      ]
    )
    assert.deepStrictEqual(mirrors.get("b.example"), [])
  })

  it("is refused with the key that is wrong", () => {
    for (const [table, expected] of [
      [{ host: { a: { mirrors: [{ insecure: true }] } } }, "host"],
      [{ host: { a: { mirrors: [{ host: "b c" }] } } }, `resolver.host."a".mirrors: "b c"`],
      [{ host: { a: { mirrors: [{ host: "b", request_timeout_sec: "5" }] } } }, "request_timeout_sec"]
    ] as const) {
      const parsed = parseResolver(table)
      if (Result.isSuccess(parsed)) return assert.fail("it was taken")
      assert.include(parsed.failure, expected)
    }
  })
})
