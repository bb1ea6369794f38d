import { isJsonType } from './job-headers.ts'

/** How a payload is written into JSON: `empty` is null, `json` itself, `text` and `base64` are strings. */
export type PayloadEncoding = 'empty' | 'json' | 'text' | 'base64'

/** A payload as a piece of JSON text. */
export interface PayloadText {
  readonly encoding: PayloadEncoding
  readonly json: string
}

/**
 * Writes a payload into JSON, on one line, so that nothing of it is lost. JSON stays as it was written, because a
 * number may have more digits than JavaScript keeps, and only its line breaks, which are between values, become
 * spaces; what is not JSON is a string, and what is not UTF-8 is base64.
 */
export function payloadText(data: Uint8Array, contentType: string | undefined): PayloadText {
  if (data.length === 0) return { encoding: 'empty', json: 'null' }
  const text = decodeUtf8(data)
  if (text === undefined) return { encoding: 'base64', json: JSON.stringify(base64(data)) }
  if (isJsonType(contentType) && isJson(text)) return { encoding: 'json', json: text.replace(/[\r\n]/g, ' ') }
  return { encoding: 'text', json: JSON.stringify(text) }
}

/** Undefined when the bytes are not UTF-8; a byte order mark stays, as it is part of the payload. */
export function decodeUtf8(data: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data)
  } catch {
    return undefined
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** In pieces, because a call takes only so many arguments; core knows no Buffer. */
function base64(data: Uint8Array): string {
  let binary = ''
  for (let from = 0; from < data.length; from += 8192)
    binary += String.fromCharCode(...data.subarray(from, from + 8192))
  return btoa(binary)
}
