/** The Debian packages that the tests compare with and run against. */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { note } from "./messages.mjs"

const wanted = [
  "containerd",
  "runc",
  "docker-registry",
  "skopeo",
  "umoci",
  "fuse3",
  "libfuse2",
  "iproute2",
  "isal",
  "libisal2",
  "openssl",
  "zsh",
  "fish"
]

/** Packages that bring a service which Debian would start at once and at every boot. */
const services = ["containerd", "docker-registry"]

const policyFile = "/usr/sbin/policy-rc.d"

const missingPackages = () => {
  const { stdout } = spawnSync("dpkg-query", ["-W", "-f=${Package} ${db:Status-Status}\n", ...wanted], {
    encoding: "utf8"
  })
  const installed = new Set(stdout.split("\n").filter((line) => line.endsWith(" installed")))
  return wanted.filter((name) => !installed.has(`${name} installed`))
}

const isDebian = () => {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : ""
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(release) && spawnSync("dpkg-query", ["--version"]).status === 0
}

const aptGet = (...args) =>
  spawnSync("apt-get", ["-qq", "-o", "Dpkg::Use-Pty=0", ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_SUSPEND: "1" },
    stdio: ["ignore", 2, 2]
  }).status === 0

const install = (names) => {
  const arguments_ = ["install", "--yes", "--no-install-recommends", ...names]
  // Package lists may be absent or old: that shows when a simulated install fails.
  const { status } = spawnSync("apt-get", ["-qq", "--simulate", ...arguments_], { stdio: "ignore" })
  return (status === 0 && aptGet(...arguments_)) || (aptGet("update") && aptGet(...arguments_))
}

/** Runs with Debian's switch against starting services set, unless the machine has a policy of its own. */
const withoutStartingServices = (work) => {
  if (existsSync(policyFile)) return work()
  // Ctrl-C reaches apt-get too; we only outlive it to take the file away.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]))
  }
  writeFileSync(policyFile, "#!/bin/sh\nexit 101\n", { mode: 0o755 })
  try {
    return work()
  } finally {
    rmSync(policyFile, { force: true })
  }
}

const disableServices = (names) => {
  if (!existsSync("/run/systemd/system")) return
  for (const name of names.filter((name) => services.includes(name))) {
    spawnSync("systemctl", ["disable", "--now", "--quiet", name], { stdio: "ignore" })
  }
}

export const installSystemPackages = () => {
  if (!isDebian()) {
    note(
      `not Debian: install ${wanted.join(" ")} or their like yourself. The tests that need them are skipped and say so.`
    )
    return
  }
  const missing = missingPackages()
  if (missing.length === 0) return
  const list = missing.join(" ")
  if (process.getuid() !== 0) {
    note(`not root: as root run apt-get install ${list}. The tests that need them are skipped and say so.`)
    return
  }
  note(`installing the Debian packages ${list}, this once ...`)
  const done = withoutStartingServices(() => install(missing))
  disableServices(missing)
  if (done && missingPackages().length === 0) return
  note(
    `apt-get could not install ${missingPackages().join(" ")} (its reason stands above): connect to the network and run this ` +
      "again. The tests that need them are skipped and say so."
  )
}
