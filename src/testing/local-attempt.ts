import type { HandlerContext } from '../core/handler-definition.ts'
import { completed, type Outcome } from '../core/outcome.ts'
import { decodePayload } from '../threads/payload.ts'
import { outcomeOfAttempt, runHandler } from '../threads/run-handler.ts'

/** How an attempt in this thread ended. */
export interface LocalEnd {
  readonly outcome: Outcome
  /** What the handler returned; undefined unless it did. */
  readonly value: unknown
  /** What was thrown; undefined unless something was. */
  readonly thrown: unknown
}

/**
 * Runs one attempt in this thread with the code that does so in a worker thread: the bytes are decoded, checked
 * against the schema, and handled. Never rejects.
 */
export async function runLocally(
  handler: Parameters<typeof runHandler>[0],
  context: HandlerContext,
  bytes: Uint8Array,
  json: boolean,
): Promise<LocalEnd> {
  try {
    const value = await runHandler(handler, context, decodePayload(Buffer.from(bytes), json))
    return { outcome: completed, value, thrown: undefined }
  } catch (thrown) {
    return { outcome: outcomeOfAttempt(thrown), value: undefined, thrown }
  }
}
