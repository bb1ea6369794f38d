import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDuration } from '#src/cli/duration.js'
import { cancelledJobId, readBucketKey } from '#src/core/control-keys.js'
import { headerText, headerTextWithin } from '#src/core/header-text.js'
import { readHistory } from '#src/core/history.js'
import { readJobHeaders } from '#src/core/job-headers.js'
import { isHandlerName } from '#src/core/names.js'
import { readHeaderBlock } from '#src/nats/header-block.js'

/** Each repeats what a backtracking expression would try in every combination. */
const patterns = [
  'a',
  '1',
  ' ',
  '.',
  'a.',
  '1.',
  ',;',
  '-',
  '\u0001',
  '\u0001a',
  '%',
  '=',
  '{"a":',
  '[',
  '2026-01-01T',
  'ä',
]

const names = [
  ...[
    'millrace-run-at',
    'millrace-expires-at',
    'millrace-deadline-ms',
    'millrace-max-attempts',
    'millrace-key',
  ],
  ...[
    'millrace-prior-history',
    'millrace-prior-attempts',
    'millrace-enqueued-at',
    'millrace-tick',
    'content-type',
  ],
]

const readers: Record<string, (text: string) => unknown> = {
  'the name of a handler': isHandlerName,
  'text for a header': (text) => headerText(text) + headerTextWithin(text, 1024),
  'a history': readHistory,
  'the key of a cancel': (text) => readBucketKey(text) + cancelledJobId(`cancelled.${text}`, text),
  'a header block': (text) => readHeaderBlock(Buffer.from(`NATS/1.0\r\n${text}\r\n${text}:\r\n\r\n`)),
  ...Object.fromEntries(names.map((name) => [name, (text: string) => readJobHeaders({ [name]: text })])),
  'a duration': (text) => assert.throws(() => readDuration('--in', text)),
}

test('no reader of what a stranger may send takes much longer for a long text than for a short one', () => {
  for (const [what, read] of Object.entries(readers)) {
    for (const pattern of patterns) {
      const text = `2026-01-31T12:00:00.${pattern.repeat(200_000)}!`
      const startedAt = performance.now()
      read(text)
      read(pattern.repeat(200_000))
      const tookMs = performance.now() - startedAt
      // Quadratic would be minutes.
      assert.ok(tookMs < 5_000, `${what}: ${tookMs} ms for ${JSON.stringify(pattern)}`)
    }
  }
})
