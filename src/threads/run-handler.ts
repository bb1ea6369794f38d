import type { HandlerContext, HandlerFunction, StandardSchema } from '../core/handler-definition.ts'
import type { Outcome } from '../core/outcome.ts'
import { outcomeOfThrown } from './error-transfer.ts'
import { InvalidPayload } from './payload.ts'
import { checkPayload, isThenable, outcomeOfSchemaFailure, SchemaFailure } from './schema.ts'

/** Checks the payload against the handler's schema, if it has one, and runs it; now, or later. */
export function runHandler(
  { schema, run }: { readonly schema: StandardSchema | undefined; readonly run: HandlerFunction },
  context: HandlerContext,
  payload: unknown,
): unknown {
  if (!schema) return run(payload, context)
  const checked = checkPayload(schema, payload)
  if (isThenable(checked)) return checked.then((accepted) => run(accepted, context))
  return run(checked, context)
}

/** How an attempt ended that threw this while its payload was decoded, checked or handled. */
export function outcomeOfAttempt(thrown: unknown): Outcome {
  if (thrown instanceof InvalidPayload) return { kind: 'invalid', error: thrown.error }
  return thrown instanceof SchemaFailure ? outcomeOfSchemaFailure(thrown) : outcomeOfThrown(thrown)
}
