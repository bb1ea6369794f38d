import type { DeadLetterRecord } from '../core/dead-letter-record.ts'
import { payloadText } from '../core/payload-text.ts'

/** A dead letter as `dead ls --json` has it; contract. */
export function deadLetterRow(letter: DeadLetterRecord) {
  return {
    seq: letter.sequence,
    job_id: letter.jobId ?? null,
    handler: letter.handler,
    reason: letter.reason ?? null,
    attempts: letter.attempts ?? null,
    dead_at: letter.deadAt?.toISOString() ?? null,
    error_code: letter.errorCode ?? null,
    error_message: letter.errorMessage ?? null,
  }
}

/** The whole dead letter as JSON: the row, its headers, its history, and on demand the payload. */
export function deadLetterJson(letter: DeadLetterRecord, withPayload: boolean): string {
  const { history } = letter
  const json = JSON.stringify({ ...deadLetterRow(letter), headers: headersOf(letter), history })
  if (!withPayload) return json
  const payload = payloadText(letter.stored.data, contentTypeOf(letter))
  return `${json.slice(0, -1)},"payload_encoding":"${payload.encoding}","payload":${payload.json}}`
}

/** What the job said that its payload is. */
export function contentTypeOf({ stored }: DeadLetterRecord): string | undefined {
  return stored.headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1]
}

/** Names as they are stored; a header that is there several times has a list. */
function headersOf({ stored }: DeadLetterRecord): Record<string, string | string[]> {
  const headers = new Map<string, string[]>()
  for (const [name, value] of stored.headers) headers.set(name, [...(headers.get(name) ?? []), value])
  return Object.fromEntries(
    [...headers].map(([name, values]) => [name, values.length === 1 ? values[0]! : values]),
  )
}
