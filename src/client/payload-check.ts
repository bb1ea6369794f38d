import { MillraceError } from '../core/errors.ts'
import type { StandardSchema } from '../core/handler-definition.ts'
import { isJsonType } from '../core/job-headers.ts'
import type { NewJob } from './new-job.ts'

/** Throws `invalid_job` when the handler's schema does not accept a job's payload; now, or later. */
export type PayloadCheck = (job: NewJob) => void | Promise<void>

/**
 * Checks jobs against the schemas of the handlers that are at hand; undefined when none has one. A schema sees
 * what the handler's thread will give it, the payload after its way through JSON. What a schema says is never
 * quoted, because it may quote the payload.
 */
export function payloadCheck(handlers: Readonly<Record<string, unknown>>): PayloadCheck | undefined {
  const schemas = new Map<string, StandardSchema>()
  for (const [name, handler] of Object.entries(handlers)) {
    const schema = schemaOf(handler) ?? schemaOf((handler as { default?: unknown } | null)?.default)
    if (schema) schemas.set(name, schema)
  }
  if (schemas.size === 0) return undefined
  return (job) => {
    const schema = schemas.get(job.handler)
    return schema && checkAgainst(schema, job)
  }
}

function checkAgainst(schema: StandardSchema, job: NewJob): void | Promise<void> {
  const payload = received(job)
  const fail = (): never => {
    throw invalid(`the schema of ${job.handler} failed, so nobody knows whether the payload matches it`)
  }
  const judge = (result: unknown): void => {
    if (typeof result !== 'object' || result === null) fail()
    const { issues } = result as { issues?: readonly unknown[] }
    if (!issues) return
    const count = issues.length === 1 ? '1 issue' : `${issues.length} issues`
    throw invalid(`the payload does not match the schema of ${job.handler} (${count})`)
  }
  let result: unknown
  try {
    result = schema['~standard'].validate(payload)
  } catch {
    return fail()
  }
  return isThenable(result) ? Promise.resolve(result).then(judge, fail) : judge(result)
}

/** Not every library's promise is a `Promise`. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

function schemaOf(handler: unknown): StandardSchema | undefined {
  const { schema } = Object(handler) as { schema?: StandardSchema }
  return typeof schema?.['~standard']?.validate === 'function' ? schema : undefined
}

/** The payload as the handler's thread reads it. */
function received({ data, headers }: NewJob): unknown {
  const type = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1]
  if (!isJsonType(type)) return typeof data === 'string' ? Uint8Array.from(Buffer.from(data)) : data
  const text = typeof data === 'string' ? data : Buffer.from(data).toString()
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    // What JSON.parse says quotes the payload.
    throw invalid('the payload is not valid JSON; send JSON, or name another content-type')
  }
}

function invalid(message: string): MillraceError {
  return new MillraceError('invalid_job', message)
}
