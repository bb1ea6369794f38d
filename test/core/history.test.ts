import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeHistory, type HistoryEntry, readHistory, shortenHistory } from '#src/core/history.js'
import { type Whereabouts, whereKinds } from '#src/core/whereabouts.js'

const limitBytes = 8 * 1024

/** Long texts, cheap to make and to shrink. */
const anyText = fc
  .tuple(fc.string({ unit: 'binary', maxLength: 12 }), fc.nat(2_000))
  .map(([part, times]) => part.repeat(times))

const whereabouts: fc.Arbitrary<Whereabouts> = fc.record(
  {
    kind: fc.constantFrom(...whereKinds),
    stack: fc.array(anyText, { maxLength: 30 }),
    resources: fc.dictionary(fc.stringMatching(/^\w{1,40}$/), fc.nat(), { maxKeys: 30 }),
  },
  { requiredKeys: ['kind'] },
)

const entries: fc.Arbitrary<HistoryEntry> = fc.record(
  {
    attempt: fc.integer({ min: 1, max: 100 }),
    at: fc.oneof(fc.constant('2026-01-31T12:00:00.000Z'), anyText),
    duration_ms: fc.nat(),
    outcome: fc.constantFrom('failed', 'timed_out', 'crashed'),
    error_code: anyText,
    error: anyText,
    supervisor: anyText,
    thread: fc.nat(),
    where: whereabouts,
    stack: fc.array(anyText, { maxLength: 30 }),
  },
  { requiredKeys: ['attempt', 'outcome'] },
)

test('a history always fits 8 KiB of printable ASCII, whatever the errors say', () => {
  fc.assert(
    fc.property(fc.array(entries, { maxLength: 40 }), (history) => {
      const header = encodeHistory(shortenHistory(history))
      assert.ok(header.length <= limitBytes, `${header.length}`)
      assert.match(header, /^[\x20-\x7e]*$/)
      assert.ok(Array.isArray(JSON.parse(header)))
    }),
    {
      examples: [
        [[{ attempt: 1, outcome: 'failed', error: '😀'.repeat(5_000) }]],
        [[{ attempt: 1, outcome: 'failed', error_code: 'x'.repeat(9_000) }]],
        [[{ attempt: 1, outcome: 'failed', supervisor: '\u0007ä'.repeat(5_000) }]],
      ],
    },
  )
})

test('a single attempt is never dropped, whatever it says', () => {
  const resources = Object.fromEntries(
    Array.from({ length: 12 }, (_, at) => [String(at).padStart(40, 'x'), Number.MAX_SAFE_INTEGER]),
  )
  const text = '\u0301'.repeat(5_000)
  const stack = Array.from({ length: 10 }, () => text)
  const where = { kind: 'waiting', stack, resources } as const
  const longest = {
    attempt: 2 ** 52,
    at: text,
    duration_ms: 1e21 / 3,
    outcome: text,
    error_code: text,
    error: text,
  }
  const entry = { ...longest, stack, supervisor: text, thread: 2 ** 52, where }
  const [kept] = shortenHistory([entry])
  assert.equal(kept?.attempt, 2 ** 52)
  assert.ok(encodeHistory([kept!]).length <= limitBytes)
  assert.deepEqual(shortenHistory([{ attempt: 1, outcome: 'failed' }, entry]).at(-1), kept)
})

test('the oldest attempts are dropped first and the last one is always kept', () => {
  const history = Array.from({ length: 100 }, (_, index) => ({
    attempt: index + 1,
    outcome: 'failed',
    error: 'x'.repeat(300),
  }))
  const kept = shortenHistory(history)
  assert.ok(kept.length > 10 && kept.length < 100)
  assert.equal(kept.at(-1)!.attempt, 100)
  assert.equal(kept[0]!.attempt, 101 - kept.length)
})

test('stacks go before attempts, and one that a later attempt has is not repeated', () => {
  const entry = (attempt: number, line: number) => ({
    attempt,
    outcome: 'failed',
    error: 'no luck',
    stack: [`run (handlers/a.ts:${line}:1)`],
  })
  const same = shortenHistory([entry(1, 7), entry(2, 8), entry(3, 7)])
  assert.deepEqual(
    same.map(({ stack }) => stack?.[0]),
    [undefined, 'run (handlers/a.ts:8:1)', 'run (handlers/a.ts:7:1)'],
  )
  const long = (attempt: number) => ({
    ...entry(attempt, 1),
    stack: Array.from({ length: 10 }, (_, at) => `f${attempt} (${'x'.repeat(80)}:${at}:1)`),
  })
  const kept = shortenHistory(Array.from({ length: 20 }, (_, at) => long(at + 1)))
  assert.equal(kept.length, 20)
  assert.ok(kept.at(-1)!.stack && !kept[0]!.stack)
  assert.deepEqual(readHistory(encodeHistory(same)), same)
  assert.deepEqual(readHistory('[{"attempt":1,"outcome":"failed","stack":[1]}]'), [
    { attempt: 1, outcome: 'failed' },
  ])
})

test('a short history is kept as it is', () => {
  const history = [{ attempt: 1, outcome: 'failed', error: 'no luck' }]
  assert.deepEqual(shortenHistory(history), history)
  assert.equal(encodeHistory([]), '[]')
})

test('what is escaped reads as it was', () => {
  const history = [{ attempt: 1, outcome: 'failed', error: 'grüße 😀 "quoted"' }]
  assert.deepEqual(JSON.parse(encodeHistory(shortenHistory(history))), history)
})

test('what was encoded is read back, and what is no history is none', () => {
  const entries = [{ attempt: 1, at: '2026-01-01T00:00:00.000Z', outcome: 'failed', error: 'ä' }]
  assert.deepEqual(readHistory(encodeHistory(entries)), entries)
  for (const text of [undefined, '', '{', '{}', 'null', '[1, null, "x", []]', '[{"attempt":1}]']) {
    assert.deepEqual(readHistory(text), [], text)
  }
  const forged =
    '[{"attempt":"1","outcome":"x"},{"attempt":1,"outcome":"x","more":1},{"attempt":2,"outcome":"y"}]'
  assert.deepEqual(readHistory(forged), [{ attempt: 2, outcome: 'y' }])
})

test('thousands of entries in a header cost no more than reading them', () => {
  const text = JSON.stringify(Array.from({ length: 200_000 }, () => ({ attempt: 1, outcome: '' })))
  const startedAt = performance.now()
  const kept = readHistory(text)
  assert.equal(encodeHistory(kept).length, 8_182)
  // Encoding what is left after each dropped entry would take hours.
  assert.ok(performance.now() - startedAt < 10_000)
})
