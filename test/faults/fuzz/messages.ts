import type { Random } from '../random.ts'
import { drawHeaders, type Headers, plainHeaders } from './headers.ts'
import { drawPayload, type Payload } from './payloads.ts'

/** One message as a publisher sends it. */
export interface FuzzMessage {
  /** Its number in the run: the seed and this make it again. */
  readonly index: number
  readonly subject: string
  readonly target: Target
  readonly headers: Headers
  readonly payload: Payload
}

/** Where a message goes. */
export type Target =
  /** A subject that a supervisor takes jobs from. */
  | { readonly kind: 'handler'; readonly handler: FuzzedHandler }
  /** Straight into the delayed stream, as a job of a handler that is due. */
  | { readonly kind: 'due'; readonly handler: FuzzedHandler }
  /** A job's subject that no handler has. */
  | { readonly kind: 'unclaimed' }
  /** A stream of ours that nobody should publish to by hand: it stays there. */
  | { readonly kind: 'stray' }
  /** No stream takes it. */
  | { readonly kind: 'nowhere' }

/** The handlers in `test/fixtures/handlers/fuzzed`, with how often each gets a message. */
const handlers = {
  echo: 20,
  shared: 14,
  kept: 8,
  slow: 3,
  'email.send': 6,
  'throws.value': 3,
  'throws.null': 2,
  'throws.rejection': 3,
  'throws.floating': 3,
  'throws.permanent': 3,
  'checked.strict': 14,
  'checked.late': 5,
  'checked.throwing': 3,
  'checked.rejecting': 3,
  'checked.silent': 2,
  'checked.wordy': 3,
  'checked.thenable': 3,
}
export type FuzzedHandler = keyof typeof handlers

/** The most that a server takes with its defaults (`max_payload`); it hangs up on whoever sends more. */
const mostBytes = 1_048_576

const targets = { handler: 92, due: 1, unclaimed: 4, stray: 1, nowhere: 2 }

const unclaimed = [
  'jobs.nobody',
  'jobs.constructor',
  'jobs.__proto__',
  'jobs.toString',
  'jobs.hasOwnProperty',
  'jobs.Echo',
  'jobs.echo_',
  'jobs.echo.extra',
  'jobs.email',
  'jobs.email.send.extra',
  'jobs.email_send',
  'jobs.jobs.echo',
  'jobs.ünï.код',
  'jobs.\ud83d\ude00',
  `jobs.${'x'.repeat(250)}`,
  `jobs.${'deep.'.repeat(60)}end`,
  'jobs.$JS.ACK.JOBS.echo.1.1.1.1.1',
  'jobs.NATS/1.0',
  'jobs."{}\'',
  'high.jobs.nobody',
  'high.jobs.__proto__',
  'low.jobs.constructor',
]
const stray = [
  'delayed.jobs.due.nonsense',
  'delayed.jobs.due.jobs.__proto__',
  'delayed.jobs.due.dead.jobs.echo',
  'delayed.jobs.nonsense',
  'dead.jobs.echo',
  'dead.jobs.nobody',
]
const nowhere = [
  'JOBS.echo',
  'job.echo',
  'high.echo',
  'millrace.echo',
  'jobs',
  'low.jobs',
  '$JOBS.x',
  'jobsx.echo',
]

/** A word that nothing else prints; what begins with it came out of a payload of this run. */
export function canaryOf(seed: number): string {
  return `zq7canary${seed.toString(36)}kx`
}

/** Draws message `index` of the run: the same for the same seed, but for instants, which count from `nowMs`. */
export function drawMessage(run: Random, index: number, nowMs: number): FuzzMessage {
  const random = run.fork(index)
  const kind = random.pickWeighted(targets)
  const payload = drawPayload(random, `${canaryOf(run.seed)}${index.toString(36)}`)
  const handler = random.pickWeighted(handlers)
  switch (kind) {
    case 'handler': {
      const subject = `${random.pick(['', '', '', '', '', '', '', '', 'high.', 'low.'])}jobs.${handler}`
      return {
        index,
        subject,
        target: { kind, handler },
        payload,
        headers: headersBeside(payload, random, index, nowMs),
      }
    }
    case 'due': {
      const subject = `delayed.jobs.due.${random.pick(['', 'high.', 'low.'])}jobs.${handler}`
      return { index, subject, target: { kind, handler }, payload, headers: plainHeaders(index) }
    }
    case 'unclaimed':
      return {
        index,
        subject: random.pick(unclaimed),
        target: { kind },
        payload,
        headers: headersBeside(payload, random, index, nowMs),
      }
    case 'stray':
      return { index, subject: random.pick(stray), target: { kind }, payload, headers: plainHeaders(index) }
    case 'nowhere':
      return {
        index,
        subject: random.pick(nowhere),
        target: { kind },
        payload,
        headers: headersBeside(payload, random, index, nowMs),
      }
  }
}

/** Of any kind, unless they are too much beside that payload. */
function headersBeside(payload: Payload, random: Random, index: number, nowMs: number): Headers {
  const headers = drawHeaders(random, index, nowMs)
  const blockBytes = headers.block?.length ?? 0
  return blockBytes + payload.body.length > mostBytes ? plainHeaders(index) : headers
}
