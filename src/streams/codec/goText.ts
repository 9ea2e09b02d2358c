/**
 * Text of any bytes as Go's encoding/json writes it: each byte that belongs to no UTF-8 becomes `\ufffd`.
 */
import type { ByteString } from "../../services/Ztoc.ts"
import { canonicalJson } from "./canonicalJson.ts"

/** A character of UTF-8 of more than one byte (RFC 3629, section 4), or a single high byte. */
const highCharacter =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\x80-\xff]/g

/** The quoted text. */
export const goJsonText = (bytes: ByteString): string => {
  let json = ""
  let at = 0
  for (const { 0: match, index } of bytes.matchAll(highCharacter)) {
    if (index > at) json += unquoted(bytes.slice(at, index))
    json += match.length > 1 ? unquoted(Buffer.from(match, "latin1").toString()) : "\\ufffd"
    at = index + match.length
  }
  return `"${json}${unquoted(bytes.slice(at))}"`
}

const unquoted = (text: string): string => canonicalJson(text).slice(1, -1)
