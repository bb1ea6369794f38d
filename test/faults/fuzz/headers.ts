import type { Random } from '../random.ts'
import { drawMillraceHeader, type HeaderMeaning, oddIds } from './header-values.ts'

/** The header block of a message, and what its headers must come to. */
export interface Headers {
  /** The features that were drawn, for a finding to name. */
  readonly kinds: readonly string[]
  /** Undefined for a message without headers. */
  readonly block: Uint8Array | undefined
  /** As they were sent, in order. */
  readonly entries: readonly (readonly [name: string, value: string])[]
  readonly meanings: readonly HeaderMeaning[]
  /** The block breaks the rules of the wire, so it may be taken for unreadable. */
  readonly damaged: boolean
  /** Bytes are handed to the handler as they are. */
  readonly binary: boolean
  /** A server may refuse it, or take it for a duplicate. */
  readonly steersServer: boolean
}

/** On every message that has headers: its number. */
export const indexHeader = 'X-Fuzz'

/** What is put together before it becomes a block. */
interface Draft {
  readonly entries: [string, string][]
  readonly meanings: HeaderMeaning[]
  readonly kinds: string[]
  binary: boolean
  steersServer: boolean
  unreadable: boolean
}

type Feature = (random: Random, draft: Draft, nowMs: number) => void

const features = {
  millrace: (random, draft, nowMs) => {
    const header = drawMillraceHeader(random, nowMs)
    // A second one would be joined with the first, and mean something else.
    if (has(draft, header.name)) return
    draft.kinds.push(`${header.name.toLowerCase()} ${header.meaning}`)
    draft.entries.push([header.name, header.value])
    draft.meanings.push(header.meaning)
  },
  repeated: (random, draft, nowMs) => {
    const header = drawMillraceHeader(random, nowMs)
    if (!joined.test(header.name) || has(draft, header.name)) return
    draft.entries.push([header.name, header.value], [header.name.toLowerCase(), header.value])
    // Read as "v, v", which is no number and no instant, whatever v is.
    draft.meanings.push('invalid')
  },
  id: (random, draft) => {
    if (has(draft, 'Nats-Msg-Id')) return
    draft.entries.push([
      'Nats-Msg-Id',
      random.chance(0.7) ? `${random.text(6)}-${random.bits()}` : random.pick(oddIds),
    ])
    draft.steersServer = true
  },
  server: (random, draft) => {
    draft.entries.push([...random.pick(serverHeaders)])
    draft.steersServer = true
  },
  application: (random, draft) => {
    for (let count = random.between(1, 4); count > 0; count -= 1) {
      draft.entries.push([random.pick(names), random.pick(values)])
    }
  },
  traces: (_, draft) => {
    draft.entries.push(['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'])
  },
  many: (random, draft) => {
    const count = random.pick([50, 300, 1_000])
    for (let index = 0; index < count; index += 1) draft.entries.push([`X-${index}`, random.text(3)])
  },
  huge: (random, draft) => {
    draft.entries.push(['X-Huge', 'h'.repeat(random.pick([8_000, 30_000, 50_000, 60_000, 65_000, 70_000]))])
    draft.steersServer = true
  },
  oddName: (random, draft) => {
    draft.entries.push([random.pick(['naïve', 'two words', 'tab\tname', '\u007f', 'имя', 'a\u0000b']), 'x'])
    draft.unreadable = true
  },
  emptyName: (_, draft) => {
    draft.entries.push(['', 'nobody'])
  },
  tick: (random, draft) => {
    if (draft.entries.length > 0) return
    const schedule = random.pick(['often', '*', '>', 'a b', '__proto__', 'x'.repeat(300), ''])
    const tick = new Date(random.bits() * 1_000).toISOString()
    draft.entries.push(
      ['Nats-Msg-Id', `tick:${schedule}:${tick}`],
      ['Millrace-Schedule', schedule],
      ['Millrace-Tick', tick],
    )
  },
  binary: (random, draft) => {
    if (has(draft, 'content-type')) return
    draft.entries.push([
      'Content-Type',
      random.pick(['application/octet-stream', 'text/plain', 'x', 'application/json5']),
    ])
    draft.binary = true
  },
} satisfies Record<string, Feature>

const weights: Readonly<Record<keyof typeof features, number>> = {
  millrace: 40,
  repeated: 4,
  id: 12,
  server: 4,
  application: 15,
  traces: 3,
  many: 1,
  huge: 1,
  oddName: 3,
  emptyName: 2,
  tick: 0.3,
  binary: 5,
}

const joined = /^millrace-(deadline-ms|max-attempts|expires-at|run-at|enqueued-at|prior-attempts)$/i

function has(draft: Draft, name: string): boolean {
  return draft.entries.some(([other]) => other.toLowerCase() === name.toLowerCase())
}

const names = [
  'X-Tenant',
  'x-tenant',
  'X_Y.z!',
  '__proto__',
  'constructor',
  'toString',
  "'",
  '{}',
  'KV-Operation',
  'Status',
  'Description',
]
const values = [
  'blue',
  '',
  'a\tb',
  'ünï',
  '\ud83d\ude00',
  'a: b: c',
  '  spaced  ',
  'NATS/1.0 503',
  '\u001b[31m',
  '{"a":1}',
  '%s',
  '\u0000',
  ' no break ',
]

/** What a raw publisher can ask of the server. */
const serverHeaders: readonly (readonly [string, string])[] = [
  ['Nats-Rollup', 'all'],
  ['Nats-Rollup', 'sub'],
  ['Nats-Rollup', 'everything'],
  ['Nats-Expected-Stream', 'JOBS'],
  ['Nats-Expected-Stream', 'OTHER'],
  ['Nats-Expected-Last-Sequence', '1'],
  ['Nats-Expected-Last-Subject-Sequence', 'x'],
  ['Nats-Expected-Last-Msg-Id', 'no such id'],
  ['Nats-TTL', '1h'],
  ['Nats-TTL', 'soon'],
  ['Nats-TTL', 'never'],
  ['Nats-Schedule', '@at 2020-01-01T00:00:00Z'],
  ['Nats-Schedule', '@every 1s'],
  ['Nats-Schedule-Target', 'jobs.echo'],
  ['Nats-Marker-Reason', 'MaxAge'],
  ['Nats-Incr', '+1'],
  ['Nats-Batch-Id', 'x'],
  ['Nats-Unknown', 'x'],
  ['Nats-Sequence', '1'],
  ['nats-msg-id', 'lower-case'],
]

/** Ways to break the rules of a header block. */
const damages: Readonly<Record<string, (lines: string[]) => string>> = {
  noVersion: (lines) => `${lines.slice(1).join('\r\n')}\r\n\r\n`,
  otherVersion: (lines) => ['NATS/9.9', ...lines.slice(1)].join('\r\n').concat('\r\n\r\n'),
  status: (lines) => ['NATS/1.0 503', ...lines.slice(1)].join('\r\n').concat('\r\n\r\n'),
  statusText: (lines) => ['NATS/1.0 408 Request Timeout', ...lines.slice(1)].join('\r\n').concat('\r\n\r\n'),
  bareLf: (lines) => `${lines.join('\n')}\r\n\r\n`,
  loneCr: (lines) => `${lines.join('\r\n')}\r\nX-Cr: a\rb\r\n\r\n`,
  loneLf: (lines) => `${lines.join('\r\n')}\r\nX-Lf: a\nMillrace-Deadline-Ms: x\r\n\r\n`,
  noColon: (lines) => `${lines.join('\r\n')}\r\nno colon here\r\n\r\n`,
  noEnd: (lines) => lines.join('\r\n'),
  twoEnds: (lines) => `${lines.join('\r\n')}\r\n\r\nMillrace-Deadline-Ms: x\r\n\r\n`,
  folded: (lines) => `${lines.join('\r\n')}\r\nX-Folded: a\r\n b\r\n\r\n`,
  onlyVersion: () => 'NATS/1.0\r\n\r\n',
  onlyEnd: () => '\r\n\r\n',
  nothing: () => 'N',
  zeros: () => '\0'.repeat(16),
}

/** Draws the headers of a message; most have some. `nowMs` is what "in a few seconds" counts from. */
export function drawHeaders(random: Random, index: number, nowMs: number): Headers {
  const draft: Draft = {
    entries: [],
    meanings: [],
    kinds: [],
    binary: false,
    steersServer: false,
    unreadable: false,
  }
  if (random.chance(0.35)) return { ...draft, block: undefined, damaged: false }
  for (let count = random.pick([1, 1, 1, 2, 3]); count > 0; count -= 1) {
    const feature = random.pickWeighted(weights)
    draft.kinds.push(feature)
    const draw: Feature = features[feature]
    draw(random, draft, nowMs)
  }
  // Tells where it came from also when it has moved.
  draft.entries.push([indexHeader, String(index)])
  const waits = draft.meanings.some((meaning) => meaning === 'soon' || meaning === 'later')
  // Too large to be put aside, it would wait in the job stream instead.
  if (waits) draft.entries.splice(0, Infinity, ...draft.entries.filter(([name]) => name !== 'X-Huge'))
  const lines = [
    'NATS/1.0',
    ...draft.entries.map(([name, value]) => `${name}:${random.chance(0.8) ? ' ' : ''}${value}`),
  ]
  const damage = !waits && random.chance(0.06) ? random.pick(Object.keys(damages)) : undefined
  if (damage !== undefined) draft.kinds.push(damage)
  let block: Uint8Array = Buffer.from(
    damage === undefined ? `${lines.join('\r\n')}\r\n\r\n` : damages[damage]!(lines),
  )
  const garbled = !waits && damage === undefined && random.chance(0.02)
  if (garbled) block = garble(random, block, draft)
  return {
    kinds: draft.kinds,
    block,
    entries: draft.entries,
    meanings: draft.unreadable ? [...draft.meanings, 'invalid'] : draft.meanings,
    damaged: damage !== undefined || garbled,
    binary: draft.binary,
    steersServer: draft.steersServer || damage !== undefined || garbled,
  }
}

/** Any byte becomes any other. */
function garble(random: Random, block: Uint8Array, draft: Draft): Uint8Array {
  const garbled = Uint8Array.from(block)
  for (let count = random.between(1, 4); count > 0; count -= 1) {
    garbled[random.integer(garbled.length)] = random.bits() >>> 24
  }
  draft.kinds.push('garbled')
  return garbled
}

/** Headers that mean nothing to anybody but the application. */
export function plainHeaders(index: number): Headers {
  return {
    kinds: [],
    block: Buffer.from(`NATS/1.0\r\n${indexHeader}: ${index}\r\n\r\n`),
    entries: [[indexHeader, String(index)]],
    meanings: [],
    damaged: false,
    binary: false,
    steersServer: false,
  }
}
