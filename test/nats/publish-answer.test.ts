import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readAnswer } from '#src/nats/publish-answer.js'

/** How servers write it: 2.9 to 2.15 differ in blanks, and a domain comes between. */
const shapes = (stream: string, seq: number): string[] => [
  `{"stream":"${stream}","seq":${seq}}`,
  `{"stream":"${stream}", "seq":${seq}}`,
  `{"stream":"${stream}", "seq": ${seq}}`,
  `{"stream":"${stream}","domain":"hub","seq":${seq}}`,
]

test('a plain answer is read as a JSON parser reads it, however the server writes it', () => {
  const streams = fc.constantFrom('JOBS', 'JOBS_HIGH', 'A-1')
  fc.assert(
    fc.property(streams, fc.maxSafeNat(), fc.boolean(), (stream, sequence, duplicate) => {
      for (const shape of shapes(stream, sequence)) {
        const text = duplicate ? shape.replace('}', ',"duplicate": true}') : shape
        assert.deepEqual(readAnswer(text, stream), { stream, sequence, duplicate })
        assert.deepEqual(readAnswer(text, 'OTHER'), { stream, sequence, duplicate })
      }
    }),
  )
})

test('a refusal is read with its code, and never as stored', () => {
  const error = { code: 503, err_code: 10077, description: 'maximum messages exceeded' }
  const text = JSON.stringify({ error, stream: 'JOBS', seq: 0 })
  assert.deepEqual(readAnswer(text, 'JOBS'), { error })
  const behind = `{"stream":"JOBS","seq":0,"error":${JSON.stringify(error)}}`
  assert.deepEqual(readAnswer(behind, 'JOBS'), { error })
})

test('what is no answer is none', () => {
  for (const text of [
    '',
    'x',
    '7',
    'null',
    '[]',
    '{}',
    '{"stream":"","seq":1}',
    '{"stream":"JOBS","seq":"1"}',
  ])
    assert.equal(readAnswer(text, 'JOBS'), undefined, text)
  fc.assert(
    fc.property(fc.string(), (rest) => {
      const text = `{"stream":"JOBS",${rest}`
      let parsed: { seq?: unknown } | undefined
      try {
        parsed = JSON.parse(text) as { seq?: unknown }
      } catch {
        parsed = undefined
      }
      if (!parsed) assert.equal(readAnswer(text, 'JOBS'), undefined)
    }),
  )
})
