import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result, Stream } from "effect"
import { type RegistryFlags, registryOptionsFromFlags } from "../../../src/layers/registry/registryFlags.ts"
import { blob, bytesOf, content, in1 } from "../../support/blobServer.ts"
import { embeddedRegistry } from "../../support/embeddedRegistry.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"

const optionsOf = (flags: RegistryFlags) => Result.getOrThrow(registryOptionsFromFlags(flags, () => Effect.void))

/** What a fetch of a blob that is there, and of one that is not, prints. */
const printed = Effect.fnUntraced(function* (flags: RegistryFlags) {
  const lines: Array<string> = []
  const options = Result.getOrThrow(registryOptionsFromFlags(flags, (line) => Effect.sync(() => void lines.push(line))))
  const { host, store } = yield* embeddedRegistry()
  yield* store.ingest(blob, Stream.make(content))
  const fetcher = yield* registryFetcher({ ...options, retries: 0 })
  yield* bytesOf(fetcher.fetch(in1(host), blob))
  const unreachable = in1("127.0.0.1:1")
  yield* Effect.ignore(fetcher.exists(unreachable, blob))
  return { host, lines }
})

describe("the flags of commands", () => {
  it("are options of the fetcher", () => {
    const user = Redacted.make("me:secret")
    assert.deepStrictEqual(optionsOf({}), { plainHttp: "loopback" })
    assert.deepStrictEqual(optionsOf({ plainHttp: true, user, hostsDir: "" }), { plainHttp: true, user })
    assert.deepStrictEqual(
      optionsOf({ hostsDir: "/etc/certs.d", skipVerify: true, tlscacert: "ca", tlscert: "cert", tlskey: "key" }),
      {
        plainHttp: "loopback",
        hostsDirectory: "/etc/certs.d",
        tls: { authorities: ["ca"], clients: [{ certificate: "cert", key: "key" }], skipVerify: true }
      }
    )
    assert.deepStrictEqual(optionsOf({ tlscert: "both.pem" }).tls?.clients, [
      { certificate: "both.pem", key: undefined }
    ])
  })

  it("may be given together as with containerd's tools: without TLS there is nothing to verify", () => {
    assert.deepStrictEqual(optionsOf({ plainHttp: true, skipVerify: true, tlscacert: "ca" }), { plainHttp: true })
  })

  it("are refused where a key has no certificate", () => {
    const options = registryOptionsFromFlags({ tlskey: "key" }, () => Effect.void)
    if (Result.isSuccess(options)) return assert.fail("they were taken")
    assert.include(options.failure.message, "give --tlscert too")
  })

  it.live("show each request and what came of it, if that is wanted", () =>
    Effect.gen(function* () {
      const { host, lines } = yield* printed({ httpTrace: true })
      assert.deepStrictEqual(lines.slice(0, 2), [
        `http req GET http://${host}/v2/team/app/blobs/${blob.digest}`,
        "http res 200 OK"
      ])
      const dumped = (yield* printed({ httpDump: true })).lines
      assert.include(dumped, "  content-length: 400000")
      assert.include(dumped, "  user-agent: effect-soci")
      assert.deepStrictEqual((yield* printed({})).lines, [])
    })
  )

  it.live("show what a request failed with", () =>
    Effect.gen(function* () {
      const { lines } = yield* printed({ httpTrace: true, plainHttp: true })
      assert.deepStrictEqual(lines.slice(2), [
        `http req HEAD http://127.0.0.1:1/v2/team/app/blobs/${blob.digest}`,
        `http err http://127.0.0.1:1/v2/team/app/blobs/${blob.digest}: the connection was refused; nothing listens there`
      ])
    })
  )
})
