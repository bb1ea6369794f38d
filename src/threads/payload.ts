import type { StandardSchema } from '../core/handler-definition.ts'
import type { AttemptError } from '../core/outcome.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })
/** What a lenient decoder puts where bytes are not UTF-8. */
const replacement = '\ufffd'
const byteOrderMark = 0xfeff

/** A payload that cannot be decoded; its message quotes nothing of it. */
export class InvalidPayload extends Error {
  readonly error: AttemptError

  constructor(error: AttemptError) {
    super(error.message)
    this.error = error
  }
}

/**
 * Decodes the bytes of a job, from `start` up to `end`: JSON unless its content type says otherwise, nothing at all for
 * an empty body.
 *
 * `JSON.parse` quotes its input in its messages, so they are never passed on.
 *
 * @throws {InvalidPayload} when the bytes are not UTF-8 or not JSON.
 */
export function decodePayload(bytes: Buffer, json: boolean, start = 0, end = bytes.length): unknown {
  if (!json) return new Uint8Array(bytes.subarray(start, end))
  if (start === end) return undefined
  const text = decodeText(bytes, start, end)
  try {
    return JSON.parse(text)
  } catch {
    throw new InvalidPayload({
      code: 'invalid_json',
      message: `the payload of ${end - start} bytes is not valid JSON; send JSON, or name another content-type`,
    })
  }
}

/** As a strict decoder does it, which is asked only where a lenient one, at two thirds of the cost, may differ. */
function decodeText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end)
  if (!text.includes(replacement) && text.charCodeAt(0) !== byteOrderMark) return text
  try {
    return utf8.decode(bytes.subarray(start, end))
  } catch {
    throw new InvalidPayload({
      code: 'invalid_utf8',
      message: `the payload of ${end - start} bytes is not valid UTF-8; send JSON, or name another content-type`,
    })
  }
}

/**
 * The payload as its schema gives it back.
 *
 * @throws {InvalidPayload} when it does not match. Neither the messages nor the paths of the issues are
 * passed on: both can quote the payload.
 */
export function acceptPayload(
  schema: StandardSchema,
  result: { value?: unknown; issues?: readonly unknown[] | undefined },
): unknown {
  if (!result.issues) return result.value
  const count = Array.isArray(result.issues) ? result.issues.length : 1
  throw new InvalidPayload({
    code: 'invalid_payload',
    message: `the payload does not match the handler's ${schema['~standard'].vendor} schema (${count} ${count === 1 ? 'issue' : 'issues'})`,
  })
}
