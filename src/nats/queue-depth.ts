import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import {
  consumerName,
  handlerOfConsumer,
  isHandlerName,
  type Names,
  type Priority,
  priorities,
} from '../core/names.ts'
import { listConsumers } from './consumer-list.ts'
import { moverName } from './delayed-topology.ts'
import { isUnserved } from './unserved.ts'

const streamMissing = 10059

/** How much waits where. */
export interface QueueDepth {
  readonly handlers: ReadonlyMap<string, HandlerDepth>
  /** Dead letters by handler. */
  readonly deadLetters: ReadonlyMap<string, number>
  /** Jobs on subjects that no consumer takes. */
  readonly unclaimed: number
  /** The same by handler, a subject that no handler can have by its own name. */
  readonly unclaimedOf: ReadonlyMap<string, number>
  /**
   * Jobs that a consumer's filter matches and that it neither waits for nor has handed out: at least so
   * many, because jobs that ended while we asked cannot be told apart from them.
   */
  readonly stranded: number
  /** Jobs that wait for their time; undefined while their stream is missing. */
  readonly delayed: number | undefined
}

export interface HandlerDepth {
  readonly pending: number
  readonly ackPending: number
  readonly redelivered: number
  /** Age of the oldest job that is still in the stream; 0 when there is none. */
  readonly oldestAgeSeconds: number
  /**
   * Open requests for jobs: none while nobody works on the handler, or everybody is full. Undefined while nobody
   * serves one of its consumers, as `delivered` is.
   */
  readonly pulls: number | undefined
  /** Deliveries so far, each attempt one, by the consumer that there is now. */
  readonly delivered: number | undefined
  /** Its consumer is paused at the server, whoever did that. */
  readonly pausedAtServer: boolean
}

/**
 * Asks the broker how much waits: one request for the dead letters and two for the delayed jobs, three for each
 * stream with jobs, and one or two for each of its consumers, so it is done when somebody looks and not more
 * often than every few seconds. The priorities of a handler are added up. `all` are the handlers that have a
 * consumer. Of a consumer that nobody serves, all jobs count as pending.
 */
export async function readQueueDepth(
  nc: NatsConnection,
  jsm: JetStreamManager,
  names: Names,
  handlers: readonly string[] | 'all',
): Promise<QueueDepth> {
  const dead = (await readStream(jsm, names.deadStream, names.deadSubjects)).subjects
  const prefix = names.deadSubject('')
  const byHandler = new Map<string, HandlerDepth>()
  const unclaimedOf = new Map<string, number>()
  let unclaimed = 0
  let stranded = 0
  for (const priority of priorities) {
    const depth = await readPriority(nc, jsm, names, priority, handlers)
    unclaimed += depth.unclaimed
    stranded += depth.stranded
    for (const [handler, jobs] of depth.unclaimedOf)
      unclaimedOf.set(handler, (unclaimedOf.get(handler) ?? 0) + jobs)
    for (const [handler, more] of depth.handlers) byHandler.set(handler, sum(byHandler.get(handler), more))
  }
  return {
    handlers: byHandler,
    deadLetters: new Map([...dead].map(([subject, count]) => [subject.slice(prefix.length), count])),
    unclaimed,
    unclaimedOf,
    stranded,
    delayed: await countDelayed(jsm, names.delayedStream),
  }
}

/**
 * A server without schedules has handed out all that waits, or will. Its stream may hold more: 2.9 shows
 * acked messages again after a SIGKILL, and never delivers them.
 */
async function countDelayed(jsm: JetStreamManager, stream: string): Promise<number | undefined> {
  try {
    const { config, state } = await jsm.streams.info(stream)
    if (config.allow_msg_schedules === true || state.messages === 0) return state.messages
    try {
      const mover = await jsm.consumers.info(stream, moverName)
      return mover.num_pending + mover.num_ack_pending
    } catch (error) {
      if (isUnserved(error)) return state.messages
      throw error
    }
  } catch (error) {
    if (error instanceof JetStreamApiError) return undefined
    throw error
  }
}

async function readPriority(
  nc: NatsConnection,
  jsm: JetStreamManager,
  names: Names,
  priority: Priority,
  handlers: readonly string[] | 'all',
): Promise<Omit<QueueDepth, 'deadLetters' | 'delayed'>> {
  const prefix = names.jobSubject('', priority)
  const stream = names.streamOf(priority)
  const byHandler = new Map<string, HandlerDepth>()
  const before = await readStream(jsm, stream, names.subjectsOf(priority))
  if (priority !== 'normal' && before.messages === 0)
    return { handlers: byHandler, unclaimed: 0, unclaimedOf: new Map(), stranded: 0 }
  const jobs = before.subjects
  const claimed = new Set<string>()
  let accounted = 0
  const { served, unserved } = await listConsumers(nc, stream)
  for (const consumer of served) {
    const filter = consumer.config.filter_subject
    if (filter === undefined) continue
    claimed.add(filter)
    accounted += consumer.num_pending + consumer.num_ack_pending
    const handler =
      handlers === 'all'
        ? filter.slice(prefix.length)
        : handlers.find((name) => consumerName(name) === consumer.name)
    if (handler === undefined || !isHandlerName(handler)) continue
    byHandler.set(handler, {
      pending: consumer.num_pending,
      ackPending: consumer.num_ack_pending,
      redelivered: consumer.num_redelivered,
      oldestAgeSeconds: jobs.has(filter) ? await oldestAge(jsm, stream, filter) : 0,
      pulls: consumer.num_waiting,
      delivered: consumer.delivered.consumer_seq,
      pausedAtServer: consumer.paused === true,
    })
  }
  // Who has which of their jobs is not known.
  const leaderless = new Set<string>()
  for (const name of unserved) {
    const handler = handlerOfConsumer(name)
    const subject = `${prefix}${handler}`
    leaderless.add(subject)
    if (!isHandlerName(handler) || (handlers !== 'all' && !handlers.includes(handler))) continue
    byHandler.set(handler, {
      pending: jobs.get(subject) ?? 0,
      ackPending: 0,
      redelivered: 0,
      oldestAgeSeconds: jobs.has(subject) ? await oldestAge(jsm, stream, subject) : 0,
      pulls: undefined,
      delivered: undefined,
      pausedAtServer: false,
    })
  }
  const after = await readStream(jsm, stream, names.subjectsOf(priority))
  const ended = before.messages + (after.lastSequence - before.lastSequence) - after.messages
  const unclaimedOf = new Map<string, number>()
  let unclaimed = 0
  let matched = 0
  for (const [subject, count] of jobs) {
    if (claimed.has(subject)) matched += count
    else if (!leaderless.has(subject)) {
      unclaimed += count
      unclaimedOf.set(subject.slice(prefix.length), count)
    }
  }
  return { handlers: byHandler, unclaimed, unclaimedOf, stranded: Math.max(0, matched - accounted - ended) }
}

function sum(one: HandlerDepth | undefined, other: HandlerDepth): HandlerDepth {
  if (!one) return other
  return {
    pending: one.pending + other.pending,
    ackPending: one.ackPending + other.ackPending,
    redelivered: one.redelivered + other.redelivered,
    oldestAgeSeconds: Math.max(one.oldestAgeSeconds, other.oldestAgeSeconds),
    pulls: sumKnown(one.pulls, other.pulls),
    delivered: sumKnown(one.delivered, other.delivered),
    pausedAtServer: one.pausedAtServer || other.pausedAtServer,
  }
}

function sumKnown(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one + other
}

interface StreamState {
  readonly messages: number
  readonly lastSequence: number
  /** Messages by subject. */
  readonly subjects: ReadonlyMap<string, number>
}

const noStream: StreamState = { messages: 0, lastSequence: 0, subjects: new Map() }

async function readStream(jsm: JetStreamManager, stream: string, filter: string): Promise<StreamState> {
  try {
    const { state } = await jsm.streams.info(stream, { subjects_filter: filter })
    return {
      messages: state.messages,
      lastSequence: state.last_seq,
      subjects: new Map(Object.entries(state.subjects ?? {})),
    }
  } catch (error) {
    // The streams of the other priorities may be missing where this supervisor must not create them.
    if (error instanceof JetStreamApiError && error.code === streamMissing) return noStream
    throw error
  }
}

async function oldestAge(jsm: JetStreamManager, stream: string, subject: string): Promise<number> {
  try {
    // The client's type lacks `next_by_subj`; servers know it since 2.9.
    const query = { seq: 1, next_by_subj: subject } as { seq: number }
    const oldest = await jsm.streams.getMessage(stream, query)
    return oldest ? Math.max(0, (Date.now() - oldest.time.getTime()) / 1_000) : 0
  } catch (error) {
    if (error instanceof JetStreamApiError) return 0
    throw error
  }
}
