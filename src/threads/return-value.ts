import type { ReturnedValue } from '../core/job-outcome.ts'

/**
 * What a handler returned as JSON, or why it cannot be kept. Never throws, and quotes nothing of the value:
 * a getter or a `toJSON` of it that throws makes it one that JSON cannot hold.
 */
export function encodeReturned(value: unknown, maxBytes: number): ReturnedValue {
  if (value === undefined) return nothing
  let json: string | undefined
  try {
    json = JSON.stringify(value) as string | undefined
  } catch {
    json = undefined
  }
  if (json === undefined) {
    return unusable(
      'result_not_json',
      `the handler returned a value (${typeof value}) that JSON cannot hold; return plain values`,
    )
  }
  const bytes = json.length > maxBytes ? json.length : Buffer.byteLength(json)
  if (bytes <= maxBytes) return { kind: 'json', json }
  return unusable(
    'result_too_large',
    `the result has ${bytes === json.length ? 'at least ' : ''}${bytes} bytes of JSON, more than the ${maxBytes} of MILLRACE_RESULT_MAX_BYTES; store it elsewhere and return where`,
  )
}

const nothing: ReturnedValue = { kind: 'json', json: undefined }

function unusable(code: 'result_not_json' | 'result_too_large', message: string): ReturnedValue {
  return { kind: 'unusable', error: { code, message } }
}
