import type { StandardSchema } from '../core/handler-definition.ts'
import type { Outcome } from '../core/outcome.ts'
import { outcomeOfThrown } from './error-transfer.ts'
import { acceptPayload } from './payload.ts'

/** A schema threw, or gave back something else than a result: nobody knows whether the payload is valid. */
export class SchemaFailure extends Error {
  readonly vendor: string
  readonly thrown: unknown

  constructor(vendor: string, thrown: unknown) {
    super('the schema failed')
    this.vendor = vendor
    this.thrown = thrown
  }
}

/**
 * The payload as its schema gives it back, now or later.
 *
 * @throws {InvalidPayload} when it does not match.
 * @throws {SchemaFailure} when the schema cannot tell.
 */
export function checkPayload(schema: StandardSchema, payload: unknown): unknown {
  const { vendor, validate } = schema['~standard']
  const accept = (result: unknown): unknown => {
    if (isResult(result)) return acceptPayload(schema, result)
    throw new SchemaFailure(vendor, new TypeError(`a schema must give back an object, not ${typeof result}`))
  }
  const fail = (thrown: unknown): never => {
    throw new SchemaFailure(vendor, thrown)
  }
  let result: unknown
  try {
    result = validate(payload)
  } catch (thrown) {
    fail(thrown)
  }
  // Not every library's promise is a `Promise`.
  return isThenable(result) ? Promise.resolve(result).then(accept, fail) : accept(result)
}

/**
 * A schema that fails is a failed attempt, as if the handler had thrown: it may have asked a service that is
 * away. Its message is not passed on, because a schema's messages are about the payload and may quote it.
 */
export function outcomeOfSchemaFailure({ vendor, thrown }: SchemaFailure): Outcome {
  const outcome = outcomeOfThrown(thrown)
  if (outcome.kind !== 'failed') return outcome
  const code = outcome.steer ? outcome.error.code : 'handler_error'
  return {
    ...outcome,
    error: { code, message: `the handler's ${vendor} schema threw; what it said may quote the payload` },
  }
}

/** Whether somebody has to wait for it. */
export function isThenable(value: unknown): value is PromiseLike<never> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}

function isResult(value: unknown): value is { value?: unknown; issues?: readonly unknown[] } {
  return typeof value === 'object' && value !== null
}
