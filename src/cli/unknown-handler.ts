import { setTimeout } from 'node:timers/promises'
import type { Client } from '../client/client.ts'
import type { Queues } from '../client/queues.ts'
import { nearestName } from '../core/nearest-name.ts'
import type { Console } from './command.ts'

const patienceMs = 1_000

/**
 * Tells somebody at a terminal that no supervisor has had the handler, and which one was perhaps meant. That is no
 * error: the handler may be deployed later. Says nothing when the broker does not tell, or not soon.
 */
export async function narrateUnknownHandler(
  handler: string,
  client: Client,
  console: Console,
): Promise<void> {
  if (console.barColumns === undefined) return
  const queues = await Promise.race([
    client.queues(),
    setTimeout(patienceMs, undefined, { ref: false }),
  ]).catch(() => undefined)
  const hint = unknownHandlerHint(handler, queues)
  if (hint !== undefined) console.narrate(hint)
}

/** What there is to say of a handler that has no consumer; undefined for one that has. */
export function unknownHandlerHint(
  handler: string,
  queues: Pick<Queues, 'handlers'> | undefined,
): string | undefined {
  const known = queues?.handlers.filter(({ pulls }) => pulls !== undefined).map((queue) => queue.handler)
  if (!known || known.includes(handler)) return undefined
  const nearest = nearestName(handler, known)
  return `no supervisor has had a handler ${handler} yet${nearest === null ? '' : `; did you mean ${nearest}?`}`
}
