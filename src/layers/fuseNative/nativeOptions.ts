/**
 * Mount options in the words of libfuse 2 (mount.fuse(8)).
 */
import { forever } from "../../streams/codec/fuseReply.ts"

/** What libfuse 2 reads at once, at most. */
const maxReadBytes = 131_072

/** Reads ahead of readers that kernels have under way at once: those that wait must not keep others from local bytes. A thread each. */
const maxBackground = 256

/** Modes are checked by the kernel, numbers of files are ours; `suid` because libfuse would forbid it, as overlays above allow it. */
const always = [
  "ro",
  "nodev",
  "suid",
  "allow_other",
  "default_permissions",
  "nonempty",
  "use_ino",
  `max_read=${maxReadBytes}`,
  `max_background=${maxBackground}`
]

const caching = {
  /** Content is immutable: names, attributes and data are kept. */
  tree: [
    "kernel_cache",
    `entry_timeout=${forever}`,
    `attr_timeout=${forever}`,
    `ac_attr_timeout=${forever}`,
    `negative_timeout=${forever}`
  ],
  /** Names come and go; what is read lands in the page cache of whoever mounts it. */
  blobs: ["direct_io", "entry_timeout=0", "attr_timeout=0", "negative_timeout=0"]
}

export type NativeCaching = keyof typeof caching

/** Commas part options. */
const escaped = (text: string): string => text.replaceAll(/[\\,]/g, "\\$&")

/** `source` and `subtype` are what /proc/mounts shows: `<source> <mount point> fuse.<subtype>`. */
export const nativeOptions = (source: string, subtype: string, cached: NativeCaching): string =>
  [...always, ...caching[cached], `fsname=${escaped(source)}`, `subtype=${subtype}`].join(",")
