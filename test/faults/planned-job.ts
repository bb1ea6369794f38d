import type { Random } from './random.ts'

/** How a job ends when nothing strikes it. */
export type PlannedEnd =
  | { readonly kind: 'completes' }
  /** A fault that charges it may make another reason of it, or let it end sooner. */
  | { readonly kind: 'dead'; readonly reason: string; readonly attempts: number }
  /** It expires at an instant that it may or may not be started before. */
  | { readonly kind: 'either' }

/** A job of the load, with what its handler will do. */
export interface PlannedJob {
  readonly id: string
  readonly handler: string
  readonly subject: string
  readonly key: string | undefined
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  readonly end: PlannedEnd
  readonly maxAttempts: number
}

/** Of a job that has nothing wrong with it: no number of faults in one round makes it a dead letter. */
export const innocentAttempts = 60
const fewAttempts = 3

interface Draft {
  readonly do: string | readonly string[]
  readonly more?: Record<string, unknown>
  readonly end?: PlannedEnd
  readonly headers?: Record<string, string>
  readonly maxAttempts?: number
  /** Instead of JSON with what to do. */
  readonly body?: string
}

const completes: PlannedEnd = { kind: 'completes' }
const dead = (reason: string, attempts: number): PlannedEnd => ({ kind: 'dead', reason, attempts })

/** How often jobs do nothing but return, beside the weights of the other kinds, which add up to about as much. */
export const evenShare = 400

/** What jobs do, by how often; each name stands for one way in which a job can go. */
const kinds: Record<string, { weight: number; draft: (random: Random) => Draft }> = {
  quick: { weight: evenShare, draft: () => ({ do: 'return' }) },
  busy: { weight: 150, draft: (random) => ({ do: 'sleep', more: { ms: random.between(1, 25) } }) },
  computing: { weight: 60, draft: (random) => ({ do: 'compute', more: { ms: random.between(1, 8) } }) },
  'fails once': { weight: 60, draft: () => ({ do: ['throw', 'return'] }) },
  'fails twice': { weight: 20, draft: () => ({ do: ['throw-null', 'throw-string', 'return'] }) },
  'asks for later': {
    weight: 10,
    draft: () => ({ do: ['retry-later', 'return'], more: { delayMs: 30 } }),
  },
  snoozes: { weight: 10, draft: () => ({ do: 'snooze-first', more: { delayMs: 20 } }) },
  'always fails': {
    weight: 20,
    draft: () => ({ do: 'throw', end: dead('exhausted', fewAttempts), maxAttempts: fewAttempts }),
  },
  permanent: { weight: 20, draft: () => ({ do: 'permanent', end: dead('permanent', 1) }) },
  'ends its thread': { weight: 4, draft: () => ({ do: ['exit', 'return'], more: { exitCode: 3 } }) },
  'throws from a timer': { weight: 2, draft: () => ({ do: ['timer-throw', 'return'] }) },
  'fills its memory': { weight: 1, draft: () => ({ do: ['fill-heap', 'return'] }) },
  'overruns its deadline': {
    weight: 4,
    draft: () => ({ do: ['loop-alive', 'return'], headers: { 'Millrace-Deadline-Ms': '150' } }),
  },
  'never stops in time': {
    weight: 2,
    draft: () => ({
      do: 'loop',
      headers: { 'Millrace-Deadline-Ms': '100' },
      end: dead('deadline', 2),
      maxAttempts: 2,
    }),
  },
  'no JSON': { weight: 15, draft: () => ({ do: 'return', body: '{"do":', end: dead('invalid', 0) }) },
  'wrong header': {
    weight: 5,
    draft: () => ({ do: 'return', headers: { 'Millrace-Expires-At': 'soon' }, end: dead('invalid', 0) }),
  },
  expired: {
    weight: 5,
    draft: () => ({
      do: 'return',
      headers: { 'Millrace-Expires-At': '2020-01-01T00:00:00Z' },
      end: dead('expired', 0),
    }),
  },
  expiring: {
    weight: 10,
    draft: (random) => ({
      do: 'return',
      headers: { 'Millrace-Expires-At': new Date(Date.now() + random.between(50, 2_000)).toISOString() },
      end: { kind: 'either' },
    }),
  },
  delayed: {
    weight: 20,
    draft: (random) => ({
      do: 'return',
      headers: { 'Millrace-Run-At': new Date(Date.now() + random.between(1_100, 2_500)).toISOString() },
    }),
  },
}

const weights = Object.fromEntries(Object.entries(kinds).map(([name, { weight }]) => [name, weight]))
/** What computes belongs onto a thread of its own; a few go to shared threads all the same. */
const blocksOthers = new Set(['computing', 'overruns its deadline', 'never stops in time'])
/** A job with a key keeps its delivery, by which this tells its runs apart. */
const neverKeyed = new Set([...blocksOthers, 'snoozes'])

/**
 * The n-th job of a load.
 *
 * @param quick - how often jobs do nothing but return, see `evenShare`.
 */
export function planJob(random: Random, n: number, quick: number): PlannedJob {
  const kind = random.pickWeighted({ ...weights, quick })
  const draft = kinds[kind]!.draft(random)
  const isForShared = random.chance(blocksOthers.has(kind) ? 0.05 : 0.5)
  const isKeyed = isForShared && !neverKeyed.has(kind) && random.chance(0.04)
  const key = isKeyed ? `key-${random.integer(10)}` : undefined
  const priority = random.chance(0.03) ? random.pick(['high.', 'low.']) : ''
  return jobOf(isKeyed ? 'keyed' : isForShared ? 'io' : 'cpu', `job-${n}`, draft, n, priority, key)
}

/** A job that a fault needs, besides the load: it does exactly this. */
export function planSpecial(handler: string, id: string, draft: Draft): PlannedJob {
  return jobOf(handler, id, draft, 0, '', undefined)
}

function jobOf(
  handler: string,
  id: string,
  draft: Draft,
  n: number,
  priority: string,
  key: string | undefined,
): PlannedJob {
  const maxAttempts = draft.maxAttempts ?? innocentAttempts
  const text = draft.body ?? JSON.stringify({ do: draft.do, n, ...draft.more })
  return {
    id,
    handler,
    subject: `${priority}jobs.${handler}`,
    key,
    body: Buffer.from(text),
    headers: {
      ...draft.headers,
      ...(key === undefined ? {} : { 'Millrace-Key': key }),
      ...(maxAttempts === innocentAttempts ? {} : { 'Millrace-Max-Attempts': String(maxAttempts) }),
      'X-Test': `of ${id}`,
    },
    end: draft.end ?? completes,
    maxAttempts,
  }
}
