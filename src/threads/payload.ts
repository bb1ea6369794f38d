import type { StandardSchema } from '../core/handler-definition.ts'
import type { AttemptError } from '../core/outcome.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** A payload that cannot be decoded; its message quotes nothing of it. */
export class InvalidPayload extends Error {
  readonly error: AttemptError

  constructor(error: AttemptError) {
    super(error.message)
    this.error = error
  }
}

/**
 * Decodes the bytes of a job: JSON unless its content type says otherwise, nothing at all for an
 * empty body.
 *
 * `JSON.parse` quotes its input in its messages, so they are never passed on.
 *
 * @throws {InvalidPayload} when the bytes are not UTF-8 or not JSON.
 */
export function decodePayload(bytes: Uint8Array, json: boolean): unknown {
  if (!json) return bytes.slice()
  if (bytes.length === 0) return undefined
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw new InvalidPayload({
      code: 'invalid_utf8',
      message: `the payload of ${bytes.length} bytes is not valid UTF-8; send JSON, or name another content-type`,
    })
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new InvalidPayload({
      code: 'invalid_json',
      message: `the payload of ${bytes.length} bytes is not valid JSON; send JSON, or name another content-type`,
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
