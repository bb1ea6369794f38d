import { controlPrefixes, pausedHandler } from '../core/control-keys.ts'
import { isRecord } from '../core/field-checks.ts'
import { decodeOwner } from '../core/owner-record.ts'
import type { ClientPort } from '../nats/client-broker.ts'

/** How one handler stands, over all priorities. */
export interface HandlerQueue {
  readonly handler: string
  /** Jobs that nobody has been given yet; all that are not settled while nobody serves their consumer. */
  readonly pending: number
  /** Jobs that were handed out and are not settled: they run, or wait for another attempt. */
  readonly ackPending: number
  /** Those of them that were handed out more than once. */
  readonly redelivered: number
  /** Age of the oldest job that is not settled; 0 when there is none. */
  readonly oldestAgeSeconds: number
  readonly deadLetters: number
  readonly paused: boolean
  /** Who paused it, when its entry says so. */
  readonly pausedBy: string | undefined
  /**
   * Open requests for jobs. None while no supervisor works on the handler, or all of them are full or paused;
   * undefined for a handler that has no consumer, or one that nobody in the cluster serves.
   */
  readonly pulls: number | undefined
  /** Deliveries so far, each attempt one; it begins anew with the consumer. Undefined where `pulls` is. */
  readonly delivered: number | undefined
  /** The supervisor that alone takes its jobs, because they have keys. */
  readonly owner: string | undefined
}

/** What waits in a namespace. */
export interface Queues {
  /** Every handler that has a consumer, a pause or a dead letter, by name. */
  readonly handlers: readonly HandlerQueue[]
  /** Jobs that no consumer takes, by handler. */
  readonly unclaimed: readonly { readonly handler: string; readonly jobs: number }[]
  /** Jobs that wait for their time; undefined when their stream is missing. */
  readonly delayed: number | undefined
  /** Jobs that a consumer should have, and has not: at least so many. */
  readonly stranded: number
}

/** Asks the broker how everything stands; undefined when it has no stream of jobs. Needs no supervisor. */
export async function readQueues(broker: ClientPort): Promise<Queues | undefined> {
  const depth = await broker.depth()
  if (!depth) return undefined
  const pauses = new Map<string, string | undefined>()
  for (const { key, value } of await broker.control(controlPrefixes.paused))
    pauses.set(pausedHandler(key), pausedBy(value))
  const owners = new Map<string, string>()
  for (const { key, value } of await broker.control(controlPrefixes.owner)) {
    const record = decodeOwner(value)
    if (record?.state === 'held' && record.supervisor !== '')
      owners.set(key.slice(controlPrefixes.owner.length + 1), record.supervisor)
  }
  const names = new Set([...depth.handlers.keys(), ...pauses.keys(), ...depth.deadLetters.keys()])
  const handlers = [...names].sort().map((handler): HandlerQueue => {
    const queue = depth.handlers.get(handler)
    return {
      handler,
      pending: queue?.pending ?? 0,
      ackPending: queue?.ackPending ?? 0,
      redelivered: queue?.redelivered ?? 0,
      oldestAgeSeconds: queue?.oldestAgeSeconds ?? 0,
      deadLetters: depth.deadLetters.get(handler) ?? 0,
      paused: pauses.has(handler) || queue?.pausedAtServer === true,
      pausedBy: pauses.get(handler),
      pulls: queue?.pulls,
      delivered: queue?.delivered,
      owner: owners.get(handler),
    }
  })
  const unclaimed = [...depth.unclaimedOf]
    .map(([handler, jobs]) => ({ handler, jobs }))
    .sort((one, other) => (one.handler < other.handler ? -1 : 1))
  return { handlers, unclaimed, delayed: depth.delayed, stranded: depth.stranded }
}

function pausedBy(value: string): string | undefined {
  try {
    const entry: unknown = JSON.parse(value)
    return isRecord(entry) && typeof entry['by'] === 'string' ? entry['by'] : undefined
  } catch {
    // Written by hand.
    return undefined
  }
}
