/**
 * How much is taken from layers and ztocs, in one place. Free of Effect: the threads that build ztocs import it.
 */

/**
 * Limits for ztocs and layers: everything from them is checked against these before memory is taken for it (ztoc spec, section 11).
 * docs lists them.
 */
export const ZtocLimits = {
  /** Bytes of a ztoc. */
  ztocBytes: 512 * 1024 * 1024,
  /**
   * A ztoc may refer to the same bytes more than once: what is read from it may be this many times its size, and no more than
   * twice its size and `unfoldedBytes`.
   */
  unfolding: 16,
  unfoldedBytes: 256 * 1024 * 1024,
  /** Entries of a table of contents. */
  entries: 5_000_000,
  /** Checkpoints, read or built: 32785 bytes each must fit into 1 GiB. */
  checkpoints: 32_700,
  /** Spans, read or built: of a layer that is not compressed there can be more than checkpoints. */
  spans: 1_000_000,
  /** Bytes of one span, compressed or not: it is held in memory whole. */
  spanBytes: 1024 * 1024 * 1024,
  /** Bytes in front of the first deflate block: a gzip header with its name and comment. */
  gzipHeaderBytes: 128 * 1024,
  /** Bytes of a name or link target (Linux PATH_MAX). */
  pathBytes: 4096,
  /** Memory for the entries of a layer whose ztoc is built: `entryBytes` for each, and one for each character of its texts. */
  tocBytes: 1024 * 1024 * 1024,
  entryBytes: 400,
  /** Bytes of a PAX header, a GNU long name or a GNU long link (the reference's limit). */
  tarHeaderBytes: 1024 * 1024,
  /** Pieces of a sparse file. */
  sparsePieces: 65_536
} as const
