import type { Random } from '../random.ts'

/** What a header with this value says of the job that carries it. */
export type HeaderMeaning =
  /** Nothing that changes what becomes of it. */
  | 'none'
  /** It cannot be understood. */
  | 'invalid'
  | 'expired'
  /** It waits for a few seconds. */
  | 'soon'
  /** It waits for longer than any run. */
  | 'later'
  /** More than the limit, so the limit counts. */
  | 'clamped'
  /** One attempt instead of what the setting says. */
  | 'one_attempt'
  /** More attempts than any limit were used up before. */
  | 'used_up'

export interface DrawnHeader {
  readonly name: string
  readonly value: string
  readonly meaning: HeaderMeaning
}

/** Far enough ahead that the first look at the job finds it early, also on a busy machine. */
const soonMs = 5_000

const badNumbers = [
  '',
  ' ',
  '-1',
  '0x10',
  '1.5',
  '1e3',
  '٣',
  'NaN',
  'Infinity',
  '10, 10',
  '9'.repeat(16),
  '+5',
  '5s',
  '10\t20',
  'null',
  '\u0000',
  '1_000',
  '10;',
  '１０',
]
const badInstants = [
  '',
  'tomorrow',
  '1700000000',
  '1700000000000',
  '2026-01-31',
  '2026-01-31T12:00:00',
  '2026-01-31T12:00Z',
  '2026-02-30T00:00:00Z',
  '2025-02-29T12:00:00Z',
  '2026-04-31T00:00:00+02:00',
  '2026-13-01T00:00:00Z',
  '2026-00-10T00:00:00Z',
  '2026-01-00T00:00:00Z',
  '2026-01-01T24:00:00Z',
  '2026-01-01T25:00:00Z',
  '2026-01-01T00:60:00Z',
  '2026-01-01T00:00:61Z',
  '2026-01-01T00:00:00+24:00',
  '2026-01-01T00:00:00+01:60',
  '2026-01-01T00:00:00+0100',
  '2026-01-01T00:00:00.Z',
  '2026-01-01T00:00:00,5Z',
  '+002026-01-01T00:00:00Z',
  '-000001-01-01T00:00:00Z',
  '0000-01-01T00:00:00+01:00',
  '9999-12-31T23:59:59-01:00',
  '26-01-01T00:00:00Z',
  'Sat, 31 Jan 2026 12:00:00 GMT',
  '2026-01-01T00:00:00Z, 2026-01-01T00:00:00Z',
  '２０２６-01-01T00:00:00Z',
  '2026-01-01T00:00:00Z[Europe/Berlin]',
]
const pastInstants = [
  '2020-01-01T00:00:00Z',
  '2020-01-01T00:00:00.123456789012345678901234567890Z',
  '2020-02-29t23:59:59z',
  '2020-01-01 00:00:00+23:59',
  '1969-12-31T23:59:59-00:00',
  '0000-01-01T00:00:00Z',
  '0049-06-01T00:00:00Z',
]
const farInstants = ['9999-12-31T23:59:59Z', '2099-02-28T23:59:59.999+14:00', '2525-01-01 00:00:00z']

/** Draws one of Millrace's headers with a value of any kind. Names come in any case. */
export function drawMillraceHeader(random: Random, nowMs: number): DrawnHeader {
  const [name, value, meaning] = random.pick(choices)(random, nowMs)
  return { name: anyCase(random, name), value, meaning }
}

type Choice = (random: Random, nowMs: number) => [name: string, value: string, meaning: HeaderMeaning]

const choices: readonly Choice[] = [
  (random) => ['Millrace-Deadline-Ms', random.pick(['300000', '900000', '0300000']), 'none'],
  (random) => ['Millrace-Deadline-Ms', random.pick([...badNumbers, '0', '9']), 'invalid'],
  (random) => ['Millrace-Deadline-Ms', random.pick(['999999999999999', '86400001']), 'clamped'],
  (random) => ['Millrace-Max-Attempts', random.pick(['1', '01']), 'one_attempt'],
  (random) => ['Millrace-Max-Attempts', random.pick([...badNumbers, '0']), 'invalid'],
  () => ['Millrace-Max-Attempts', '999999999999999', 'clamped'],
  (random) => ['Millrace-Expires-At', random.pick(pastInstants), 'expired'],
  (random) => ['Millrace-Expires-At', random.pick(farInstants), 'none'],
  (random) => ['Millrace-Expires-At', random.pick(badInstants), 'invalid'],
  (random) => ['Millrace-Run-At', random.pick(pastInstants), 'none'],
  (random, nowMs) => [
    'Millrace-Run-At',
    new Date(nowMs + soonMs + random.integer(1_000)).toISOString(),
    'soon',
  ],
  (random) => ['Millrace-Run-At', random.pick(farInstants), 'later'],
  (random) => ['Millrace-Run-At', random.pick(badInstants), 'invalid'],
  (random) => ['Millrace-Enqueued-At', random.pick(pastInstants), 'none'],
  (random) => ['Millrace-Enqueued-At', random.pick(badInstants), 'invalid'],
  (random) => ['Millrace-Tick', random.pick(badInstants), 'invalid'],
  (random) => ['Millrace-Tick', random.pick(pastInstants), 'none'],
  (random) => ['Millrace-Schedule', random.pick(['often', '*', '>', 'no such schedule', '']), 'none'],
  (random) => [
    'Millrace-Key',
    random.pick(['a', 'b', 'ключ', '*.>', '', ' ', '\ud83d\ude00', 'k'.repeat(3_000)]),
    'none',
  ],
  (random) => ['Millrace-Key', random.pick(['a\tb', 'a\u0000b', 'a\u007fb']), 'invalid'],
  (random) => ['Millrace-Prior-Attempts', random.pick(['x', '-1', '', '1.5']), 'invalid'],
  () => ['Millrace-Prior-Attempts', '999999999999999', 'used_up'],
  (random) => ['Millrace-Prior-History', random.pick(histories), 'none'],
  (random) => ['Millrace-Job-Id', random.pick(oddIds), 'none'],
  (random) => [
    random.pick(deathHeaders),
    random.pick(['', '-1', '\t', 'x'.repeat(2_000), 'dead', '7']),
    'none',
  ],
  (random) => [
    'content-type',
    random.pick(['application/json', 'application/problem+json; charset=utf-8', 'TEXT/JSON', ';', '']),
    'none',
  ],
]

const histories = [
  '',
  '[]',
  'null',
  '{"attempt":1}',
  '[{"attempt":1,"outcome":"failed"}]',
  '[{"attempt":"1","outcome":"failed"}]',
  '[{"attempt":1,"outcome":"\\u0000\\ud800"},7,null,[]]',
  `[${'['.repeat(5_000)}`,
  `[{"attempt":1e308,"outcome":"${'o'.repeat(9_000)}"}]`,
  '[{"attempt":-1,"outcome":"failed","__proto__":{"polluted":1}}]',
]

const deathHeaders = [
  'Millrace-Dead-Reason',
  'Millrace-Subject',
  'Millrace-Stream',
  'Millrace-Sequence',
  'Millrace-Attempts',
  'Millrace-Deliveries',
  'Millrace-Dead-At',
  'Millrace-Error-Code',
  'Millrace-Error-Message',
  'Millrace-History',
  'Millrace-Replays',
  'Millrace-Due-At',
  'Millrace-Due-Id',
  'Millrace-Unknown',
]

/** Ids as a publisher may choose them. */
export const oddIds = [
  '',
  ' ',
  'a',
  'jobs.*.>',
  'tick:often:2026-01-01T00:00:00.000Z',
  'dead:JOBS:1',
  'due:JOBS:1:1',
  'JOBS:1',
  '__proto__',
  'constructor',
  '/../..',
  '"quoted" \\ and {json}',
  'ä ö ü',
  '\ud83d\ude00'.repeat(40),
  'a\tb',
  '%s %d %j',
  '\u202e\u0007bell',
  'long'.repeat(500),
  'é'.repeat(1_000),
  'é'.repeat(3_000),
  'x'.repeat(20_000),
]

function anyCase(random: Random, name: string): string {
  return random.pick([name, name, name.toLowerCase(), name.toUpperCase()])
}
