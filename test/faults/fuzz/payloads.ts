import type { Random } from '../random.ts'

/** What reading a payload as JSON must come to. */
export type Reading = 'value' | 'empty' | 'invalid_utf8' | 'invalid_json'

/** A body, and what must come of reading it. */
export interface Payload {
  readonly kind: PayloadKind
  readonly body: Uint8Array
  readonly reading: Reading
  /** It is an object with a string `to`, which is what the strict schemas of the fixtures ask for. */
  readonly fitsSchema: boolean
}

/** A payload holds `canary` wherever it has room: as a value, as a key, in what a parser would quote. */
type Maker = (random: Random, canary: string) => Omit<Payload, 'kind'>

const makers = {
  object: (random, canary) => value(JSON.stringify(object(random, canary))),
  fitting: (_, canary) => value(`{"to":"${canary}@b.c","${canary}":1}`, true),
  scalar: (random, canary) =>
    value(random.pick(['null', 'true', '-0', '1e-7', `"${canary}"`, '""', '[]', '{}'])),
  spaced: (random, canary) => value(` \t\r\n${' '.repeat(random.integer(200))}["${canary}"]\n\r\t `),
  bom: (_, canary) => value(`\ufeff{"to":"${canary}"}`, true),
  numbers: (random, canary) =>
    value(
      `["${canary}",${random.pick(['1e999', '-1e999', '9'.repeat(5_000), `0.${'1'.repeat(5_000)}`, '1e-999', '-0'])}]`,
    ),
  repeated: (_, canary) => value(`{"to":"${canary}","to":"${canary}2","${canary}":1,"${canary}":2}`, true),
  prototype: (random, canary) =>
    value(
      random.pick([
        `{"__proto__":{"polluted":"${canary}"},"to":"${canary}"}`,
        `{"constructor":{"prototype":{"polluted":"${canary}"}},"to":"x"}`,
        `{"toString":"${canary}","valueOf":null,"hasOwnProperty":1,"then":"${canary}","to":"x"}`,
        `{"toJSON":"${canary}","message":1,"code":"snooze","delayMs":1,"name":"${canary}","to":"x"}`,
      ]),
      true,
    ),
  surrogates: (random, canary) =>
    value(
      random.pick([`"\\ud800${canary}"`, `{"\\udfff${canary}":"\\ud800"}`, `["\\ud83d\\u0000","${canary}"]`]),
    ),
  escapes: (_, canary) => value(`{"to":"\\u0000\\u001b[31m\\r\\nNATS/1.0 503\\r\\n${canary}"}`, true),
  deep: (random, canary) => {
    // The deepest takes half a second to parse.
    const depth = random.pick([100, 1_000, 10_000, 10_000, 10_000, 100_000, 480_000])
    return value(`${'['.repeat(depth)}"${canary}"${']'.repeat(depth)}`)
  },
  large: (random, canary) => {
    const text = canary.padEnd(random.pick([65_536, 500_000, 1_000_000]), canary)
    return value(`{"to":"${text}"}`, true)
  },
  empty: () => ({ body: new Uint8Array(0), reading: 'empty', fitsSchema: false }),
  blank: (random) => broken(random.pick([' ', '\n', '\t\t', '\u00a0', '\ufeff', '\0'])),
  truncated: (random, canary) => {
    const whole = JSON.stringify({ [canary]: canary, more: [canary, { n: 1 }] })
    return broken(whole.slice(0, random.between(1, whole.length - 1)))
  },
  trailing: (random, canary) =>
    broken(
      random.pick([
        `{"a":1} ${canary}`,
        `1 "${canary}"`,
        `[]${canary}`,
        `"${canary}"\0`,
        `{},{"${canary}":1}`,
      ]),
    ),
  notJson: (random, canary) =>
    broken(
      random.pick([
        canary,
        `'${canary}'`,
        `{${canary}:1}`,
        `{"${canary}":undefined}`,
        `["${canary}",]`,
        `// ${canary}\n{}`,
        `NaN ${canary}`,
        `+1 ${canary}`,
        `"${canary}\n"`,
        `"\\x41${canary}"`,
        `<to>${canary}</to>`,
        `{"a":01,"${canary}":1}`,
        `MSG jobs.echo 1 4\r\n${canary}\r\n`,
      ]),
    ),
  deepBroken: (random, canary) => broken('{"a":['.repeat(random.pick([10, 1_000, 100_000])) + canary),
  controls: (random, canary) => broken(`"${canary}${random.pick(['\0', '\u0001', '\u001f', '\r', '\t'])}"`),
  badUtf8: (random, canary) => {
    const piece = random.pick(badUtf8)
    const around = random.chance(0.5) ? [`{"${canary}":"`, '"}'] : [canary, canary]
    const body = Buffer.concat([Buffer.from(around[0]!), Buffer.from(piece), Buffer.from(around[1]!)])
    return { body, reading: 'invalid_utf8', fitsSchema: false }
  },
  random: (random, canary) => {
    // 0xff is in no UTF-8 text.
    const body = Buffer.concat([Uint8Array.of(0xff), random.bytes(random.integer(300)), Buffer.from(canary)])
    return { body, reading: 'invalid_utf8', fitsSchema: false }
  },
} satisfies Record<string, Maker>

export type PayloadKind = keyof typeof makers

/** How often each kind is drawn; what is large or deep costs as much as hundreds of the others. */
const weights: Readonly<Record<PayloadKind, number>> = {
  object: 10,
  fitting: 8,
  scalar: 5,
  spaced: 3,
  bom: 2,
  numbers: 3,
  repeated: 3,
  prototype: 6,
  surrogates: 3,
  escapes: 3,
  deep: 0.2,
  large: 0.08,
  empty: 3,
  blank: 3,
  truncated: 8,
  trailing: 6,
  notJson: 10,
  deepBroken: 0.5,
  controls: 4,
  badUtf8: 10,
  random: 6,
}

/** One byte sequence for each way in which bytes can fail to be UTF-8 (Unicode standard, table 3-7). */
const badUtf8: readonly (readonly number[])[] = [
  [0x80],
  [0xbf],
  [0xc0, 0x80],
  [0xc1, 0xbf],
  [0xc3],
  [0xe0, 0x80, 0x80],
  [0xe2, 0x82],
  [0xed, 0xa0, 0x80],
  [0xed, 0xbf, 0xbf],
  [0xf0, 0x80, 0x80, 0x80],
  [0xf0, 0x9f, 0x98],
  [0xf4, 0x90, 0x80, 0x80],
  [0xf5, 0x80, 0x80, 0x80],
  [0xf8, 0x88, 0x80, 0x80, 0x80],
  [0xfe],
  [0xff],
]

/** Draws a payload of any kind. */
export function drawPayload(random: Random, canary: string): Payload {
  const kind = random.pickWeighted(weights)
  const make: Maker = makers[kind]
  return { kind, ...make(random, canary) }
}

function value(text: string, fitsSchema = false): Omit<Payload, 'kind'> {
  return { body: Buffer.from(text), reading: 'value', fitsSchema }
}

function broken(text: string): Omit<Payload, 'kind'> {
  return { body: Buffer.from(text), reading: 'invalid_json', fitsSchema: false }
}

function object(random: Random, canary: string): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (let count = random.between(1, 5); count > 0; count -= 1) {
    fields[random.pick([canary, random.text(8), `${canary}-${count}`])] = random.pick([
      canary,
      [canary],
      { [canary]: null },
      random.bits(),
      true,
    ])
  }
  return { ...fields, last: canary }
}
