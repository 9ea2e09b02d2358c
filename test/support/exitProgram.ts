/**
 * A program without libraries: it ends with a code, and that is all it does.
 */

/** An ELF executable for x86-64 Linux (System V ABI): one segment that calls exit(2). */
export const exitProgram = (code: number): Uint8Array => {
  // mov edi, code; mov eax, 60; syscall
  const text = Buffer.from([0xbf, code, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05])
  const headers = 64 + 56
  const address = 0x40_0000n
  const elf = Buffer.alloc(headers + text.length)
  elf.write("\x7fELF\x02\x01\x01", 0, "latin1")
  elf.writeUInt16LE(2, 16)
  elf.writeUInt16LE(62, 18)
  elf.writeUInt32LE(1, 20)
  elf.writeBigUInt64LE(address + BigInt(headers), 24)
  elf.writeBigUInt64LE(64n, 32)
  elf.writeUInt16LE(64, 52)
  elf.writeUInt16LE(56, 54)
  elf.writeUInt16LE(1, 56)
  elf.writeUInt32LE(1, 64)
  elf.writeUInt32LE(5, 68)
  elf.writeBigUInt64LE(address, 80)
  elf.writeBigUInt64LE(address, 88)
  elf.writeBigUInt64LE(BigInt(elf.length), 96)
  elf.writeBigUInt64LE(BigInt(elf.length), 104)
  elf.writeBigUInt64LE(4096n, 112)
  text.copy(elf, headers)
  return elf
}
