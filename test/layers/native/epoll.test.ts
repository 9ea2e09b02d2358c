import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { read, readAt, write } from "../../../src/layers/native/descriptors.ts"
import { closeBell, Epoll, makeBell, quiet, ring } from "../../../src/layers/native/epoll.ts"

const withBells = (count: number, use: (epoll: Epoll, bells: ReadonlyArray<number>) => void) => {
  const epoll = new Epoll()
  const bells = Array.from({ length: count }, makeBell)
  try {
    use(epoll, bells)
  } finally {
    epoll.close()
    bells.forEach(closeBell)
  }
}

const keysOf = (epoll: Epoll) => Array.from({ length: epoll.wait() }, (_, event) => epoll.keyAt(event)).toSorted()

describe("Epoll", () => {
  it("says which descriptors are ready, until they are quiet again", () => {
    withBells(3, (epoll, bells) => {
      for (const [i, bell] of bells.entries()) epoll.add(bell, 4_000_000_000 + i, i > 0)
      const [first = -1, , third = -1] = bells
      ring(first)
      ring(third)
      ring(third)
      assert.deepStrictEqual(keysOf(epoll), [4_000_000_000, 4_000_000_002])
      quiet(third)
      assert.deepStrictEqual(keysOf(epoll), [4_000_000_000])
    })
  })

  it("forgets what is removed", () => {
    withBells(2, (epoll, [one = -1, other = -1]) => {
      epoll.add(one, 1, false)
      epoll.add(other, 2, false)
      ring(one)
      ring(other)
      epoll.remove(one)
      assert.deepStrictEqual(keysOf(epoll), [2])
    })
  })

  it("throws for what cannot be waited for", () => {
    withBells(0, (epoll) => assert.throws(() => epoll.add(-1, 1, false), /epoll_ctl failed with errno 9/))
  })
})

describe("descriptors", () => {
  it("answer bytes or a negative errno", () => {
    const descriptor = fs.openSync("/proc/self/exe", "r")
    const buffer = Buffer.alloc(8)
    assert.strictEqual(read(descriptor, buffer, 4), 4)
    assert.strictEqual(buffer.toString("latin1", 0, 4), "\x7fELF")
    assert.strictEqual(readAt(descriptor, buffer, 3, 1), 3)
    assert.strictEqual(buffer.toString("latin1", 0, 3), "ELF")
    assert.strictEqual(readAt(descriptor, buffer, 100, 2 ** 40), 0)
    assert.strictEqual(write(descriptor, buffer, 1), -9)
    fs.closeSync(descriptor)
    assert.strictEqual(read(descriptor, buffer, 1), -9)
  })
})
