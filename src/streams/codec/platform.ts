/**
 * Platforms as text and their comparison, as containerd's platforms package defines them (index-and-artifacts, 6.1, 6.5).
 * `host` is the platform of this machine: it fills what a specifier or a platform leaves open.
 */
import { Result } from "effect"
import { InvalidPlatform, type Platform } from "../../services/Descriptor.ts"

const component = /^[A-Za-z0-9_.-]+$/
const osComponent = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$/

const operatingSystems: ReadonlySet<string> = new Set(
  (
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 " +
    "windows zos"
  ).split(" ")
)

const architectures: ReadonlySet<string> = new Set(
  (
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 " +
    "mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm"
  ).split(" ")
)

const normalizeOs = (os: string, host: Platform): string => {
  const lower = (os || host.os).toLowerCase()
  return lower === "macos" ? "darwin" : lower
}

const normalizeArchitecture = (
  architecture: string,
  variant: string
): readonly [architecture: string, variant: string] => {
  const name = architecture.toLowerCase()
  const version = variant.toLowerCase()
  if (name === "i386") return ["386", ""]
  if (name === "armhf") return ["arm", "v7"]
  if (name === "armel") return ["arm", "v6"]
  if (name === "aarch64" || name === "arm64") return ["arm64", version === "8" || version === "v8" ? "" : version]
  if (name === "x86_64" || name === "x86-64" || name === "amd64") return ["amd64", version === "v1" ? "" : version]
  if (name === "arm") return ["arm", version === "" ? "v7" : /^[5-8]$/.test(version) ? `v${version}` : version]
  return [name, version]
}

/** Leaves out what is empty, as the JSON of a platform does. */
const platformOf = (
  os: string,
  architecture: string,
  variant: string,
  rest: Pick<Platform, "os.version" | "os.features"> = {}
): Platform => ({
  architecture,
  os,
  ...(rest["os.version"] ? { "os.version": rest["os.version"] } : {}),
  ...(rest["os.features"]?.length ? { "os.features": rest["os.features"] } : {}),
  ...(variant === "" ? {} : { variant })
})

/** The platform in the spelling of the OCI specification: aliases resolved, default variants left out or filled in. */
export const normalizePlatform = (platform: Platform, host: Platform): Platform => {
  const [architecture, variant] = normalizeArchitecture(platform.architecture, platform.variant ?? "")
  return platformOf(normalizeOs(platform.os, host), architecture, variant, platform)
}

export const parsePlatform = (input: string, host: Platform): Result.Result<Platform, InvalidPlatform> => {
  const invalid = (reason: string) => Result.fail(new InvalidPlatform({ input, reason }))
  if (input.includes("*")) return invalid("wildcards are not supported")
  const [first = "", ...others] = input.split("/")
  if (others.length > 2) return invalid("it has more than three parts")
  const os = osComponent.exec(first)
  if (os === null) return invalid(`"${first}" is no operating system`)
  const wrong = others.find((part) => !component.test(part))
  if (wrong !== undefined) return invalid(`"${wrong}" is no architecture or variant`)

  const [, name = "", version = "", features = ""] = os
  const rest = { "os.version": decodePercent(version), "os.features": features.split("+").slice(1).map(decodePercent) }
  const [architecture, variant] = others
  if (architecture === undefined) return parseSingle(input, name, rest, host)
  const [normalized, ownVariant] = normalizeArchitecture(architecture, variant ?? "")
  const system = normalizeOs(name, host)
  if (variant === undefined) {
    return Result.succeed(
      platformOf(system, normalized, normalized === "arm" && ownVariant === "v7" ? "" : ownVariant, rest)
    )
  }
  // Who writes linux/arm64/v8 out means to see it again, although it is the same platform as linux/arm64.
  return Result.succeed(
    platformOf(system, normalized, normalized === "arm64" && ownVariant === "" ? "v8" : ownVariant, rest)
  )
}

const parseSingle = (
  input: string,
  name: string,
  rest: Pick<Platform, "os.version" | "os.features">,
  host: Platform
): Result.Result<Platform, InvalidPlatform> => {
  const os = normalizeOs(name, host)
  if (operatingSystems.has(os)) {
    const variant = host.architecture === "arm" && host.variant !== "v7" ? (host.variant ?? "") : ""
    return Result.succeed(platformOf(os, host.architecture, variant, rest))
  }
  const [architecture, variant] = normalizeArchitecture(name, "")
  if (architectures.has(architecture)) {
    const shown = architecture === "arm" && variant === "v7" ? "" : variant
    return Result.succeed(platformOf(host.os, architecture, shown))
  }
  return Result.fail(new InvalidPlatform({ input, reason: "unknown operating system or architecture" }))
}

const decodePercent = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** `os/architecture[/variant]`; `unknown` when the operating system is not known. */
export const formatPlatform = ({ os, architecture, variant }: Platform): string =>
  os === "" ? "unknown" : [os, architecture, variant].filter((part) => part !== undefined && part !== "").join("/")

/** Whether what is made for `candidate` is what was asked for with `wanted`: no fallback to lesser variants. */
export const matchesPlatform = (wanted: Platform, candidate: Platform, host: Platform): boolean => {
  const [left, right] = [normalizePlatform(wanted, host), normalizePlatform(candidate, host)]
  const features = left["os.features"] ?? []
  return (
    left.os === right.os &&
    left.architecture === right.architecture &&
    left.variant === right.variant &&
    (right["os.features"] ?? []).every((feature) => features.includes(feature)) &&
    (left.os !== "windows" || windowsCompatible(left["os.version"], right["os.version"]))
  )
}

/** Builds of Windows Server with long support: a host runs containers of the newest of them that it is not older than. */
const stableWindowsBuilds = [20_348, 26_100]

const windowsCompatible = (host: string | undefined, container: string | undefined): boolean => {
  if (!host || !container) return true
  const [major, minor, build = 0] = host.split(".").map(Number)
  const [containerMajor, containerMinor, containerBuild = 0] = container.split(".").map(Number)
  if (major !== containerMajor || minor !== containerMinor) return false
  const oldest = stableWindowsBuilds.findLast((stable) => stable <= build)
  return oldest === undefined ? build === containerBuild : oldest <= containerBuild && containerBuild <= build
}

/** Keeps of platforms that match each other the first. */
export const dedupePlatforms = (platforms: ReadonlyArray<Platform>, host: Platform): ReadonlyArray<Platform> => {
  const kept: Array<Platform> = []
  for (const platform of platforms) {
    if (!kept.some((earlier) => matchesPlatform(earlier, platform, host))) kept.push(platform)
  }
  return kept
}
