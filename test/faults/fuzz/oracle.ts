import type { FuzzedHandler, FuzzMessage } from './messages.ts'

/** What may become of a message that a stream of ours has stored. */
export interface Expectation {
  /** It completes, without a trace. */
  readonly completes: boolean
  /** It becomes a dead letter, with one of these reasons and error codes. */
  readonly dead: readonly Death[]
  /** Where it is in the end; `settled` is nowhere. */
  readonly place: 'settled' | 'unclaimed' | 'later' | 'stray'
}

export interface Death {
  readonly reason: string
  readonly code: string
  /** Attempts that ran; undefined where a damaged header leaves that open. */
  readonly attempts: number | undefined
}

/** The setting of the run. */
export const maxAttempts = 2
export const attemptsLimit = 3

const completes: Expectation = { completes: true, dead: [], place: 'settled' }
const invalidHeader: Death = { reason: 'invalid', code: 'invalid_header', attempts: 0 }

/**
 * What must become of a message, from the contract alone: `docs/dead-letters.md`, `docs/delayed-jobs.md`,
 * `docs/errors.md` and the fixture handlers. Knows nothing of how the runtime reads a message.
 */
export function expect(message: FuzzMessage): Expectation {
  const { target, headers } = message
  if (target.kind === 'unclaimed') return stays('unclaimed')
  if (target.kind === 'stray' || target.kind === 'nowhere') return stays('stray')
  const { meanings, damaged } = headers
  const ofHandler = afterAdmission(message, target.handler)
  // A block that breaks the rules is unreadable, or what can be read of it counts.
  if (damaged) {
    const asBytes = afterAdmission({ ...message, headers: { ...headers, binary: true } }, target.handler)
    return anyOf([...ofHandler.dead, ...asBytes.dead])
  }
  // What a publisher says of earlier attempts is believed.
  const attempts = meanings.includes('used_up') ? undefined : 0
  if (meanings.includes('invalid') || hasLongId(message) || hasTooManyHeaders(message))
    return dies({ ...invalidHeader, attempts })
  if (meanings.includes('expired')) return dies({ reason: 'expired', code: 'expired', attempts })
  if (meanings.includes('used_up')) {
    // Somebody says that it had more attempts than it may have, and not how they ended; and so that it has waited for
    // its time, which may be after the instant at which it expires.
    const expired: Death = { reason: 'expired', code: 'expired', attempts: undefined }
    return {
      ...completes,
      completes: false,
      dead: meanings.includes('later') ? [...usedUp, expired] : usedUp,
    }
  }
  return meanings.includes('later') ? stays('later') : ofHandler
}

/** 256 of its own; what comes behind them is not read. */
export function hasTooManyHeaders({ headers }: FuzzMessage): boolean {
  return headers.entries.filter(([name]) => !/^(nats|millrace)-/i.test(name)).length > 256
}

/** An id is text of at most 2 KiB; the one that Millrace gives counts before the publisher's. */
function hasLongId({ headers }: FuzzMessage): boolean {
  const id = ['millrace-job-id', 'nats-msg-id']
    .map((wanted) => headers.entries.find(([name]) => name.toLowerCase() === wanted)?.[1].trim())
    .find((value) => value !== undefined && value !== '')
  return id !== undefined && Buffer.byteLength(id) > 2_048
}

const usedUp: readonly Death[] = ['crashed', 'exhausted', 'deadline'].flatMap((reason) =>
  ['process_crash', 'handler_error', 'unknown'].map((code) => ({ reason, code, attempts: undefined })),
)

function afterAdmission({ payload, headers }: FuzzMessage, handler: FuzzedHandler): Expectation {
  if (!headers.binary && (payload.reading === 'invalid_json' || payload.reading === 'invalid_utf8')) {
    return dies({ reason: 'invalid', code: payload.reading, attempts: 0 })
  }
  const attempts = headers.meanings.includes('one_attempt')
    ? 1
    : headers.entries.some(([name, value]) => /^millrace-max-attempts$/i.test(name) && value.startsWith('9'))
      ? attemptsLimit
      : maxAttempts
  const exhausted = (code: string): Expectation => dies({ reason: 'exhausted', code, attempts })
  const refused = dies({ reason: 'invalid', code: 'invalid_payload', attempts: 0 })
  switch (handler) {
    case 'throws.value':
    case 'throws.null':
    case 'throws.rejection':
      return exhausted('non_error_thrown')
    case 'throws.floating':
      return exhausted('unhandled_rejection')
    case 'throws.permanent':
      return dies({ reason: 'permanent', code: 'permanent_failure', attempts: 1 })
    case 'checked.strict':
    case 'checked.late':
      return payload.fitsSchema && !headers.binary ? completes : refused
    case 'checked.throwing':
    case 'checked.rejecting':
    case 'checked.silent':
      return exhausted('handler_error')
    case 'checked.wordy':
      return refused
    default:
      return completes
  }
}

function anyOf(deaths: readonly Death[]): Expectation {
  const open = { attempts: undefined }
  return {
    // Its content type may have become another one, or none.
    completes: true,
    dead: [
      { ...invalidHeader, ...open },
      { reason: 'expired', code: 'expired', ...open },
      ...['invalid_json', 'invalid_utf8', 'invalid_payload'].map((code) => ({
        reason: 'invalid',
        code,
        ...open,
      })),
      ...deaths.map(({ reason, code }) => ({ reason, code, ...open })),
      ...usedUp,
    ],
    place: 'settled',
  }
}

function dies(death: Death): Expectation {
  return { completes: false, dead: [death], place: 'settled' }
}

function stays(place: Expectation['place']): Expectation {
  return { completes: false, dead: [], place }
}
