/**
 * Makes text safe as a header's value: control characters (which end a header or forge another one)
 * become spaces, and what exceeds `limit` characters is cut and marked.
 */
export function headerText(text: string, limit = 1024): string {
  const clean = text
    .slice(0, limit * 4)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim()
  return clean.length <= limit ? clean : `${clean.slice(0, limit - 1)}…`
}

/** The same, within a number of bytes of UTF-8; less than the mark's three bytes leave nothing. */
export function headerTextWithin(text: string, limitBytes: number): string {
  let clean = headerText(text, limitBytes)
  while (utf8Bytes(clean) > limitBytes) {
    const length = Math.floor(clean.length * 0.8) - 1
    clean = length < 0 ? '' : `${clean.slice(0, length)}…`
  }
  return clean
}

/** JSON on one line, everything outside printable ASCII escaped. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** How many bytes a text takes up in UTF-8. */
export function utf8Bytes(text: string): number {
  let bytes = 0
  for (const character of text) {
    const point = character.codePointAt(0)!
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4
  }
  return bytes
}

/** Whether a header of a job may have this name. */
export function isHeaderName(name: string): boolean {
  return /^[!#$%&'*+.^_`|~\w-]+$/.test(name)
}

/** Whether a header of a job may have this value: anything else could end the header, and begin another. */
export function isHeaderValue(value: unknown): value is string {
  return typeof value === 'string' && !/\p{Cc}/u.test(value)
}
