/**
 * Which platform this machine is.
 */
import type { Platform } from "../services/Descriptor.ts"

const architectures: ReadonlyMap<string, string> = new Map([
  ["x64", "amd64"],
  ["ia32", "386"],
  ["arm64", "arm64"],
  ["arm", "arm"],
  ["ppc64", "ppc64le"],
  ["s390x", "s390x"],
  ["riscv64", "riscv64"],
  ["loong64", "loong64"]
])

/** The platform of this machine, in the spelling of the OCI specification. */
export const hostPlatform: Platform = {
  os: "linux",
  architecture: architectures.get(process.arch) ?? process.arch
}
