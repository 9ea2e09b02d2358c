/**
 * Effect's help formatter makes a segmenter of graphemes while it is loaded, for which the Unicode tables are read: a fifth of the time that
 * `soci --help` takes. We have a help page of our own, so in the bundles it is made when it is first used.
 */
const eager = /new Intl\.Segmenter\(undefined, \{\s*granularity: "grapheme"\s*\}\)/
const late = `{ segment: (text) => new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(text) }`

export const lateSegmenter = {
  name: "late-segmenter",
  transform: {
    filter: { id: /\/effect\/dist\/cli\/CliOutput\.js$/ },
    handler(code) {
      if (!eager.test(code)) this.warn("there is no segmenter any more: this step can go")
      return { code: code.replace(eager, late), map: null }
    }
  }
}
