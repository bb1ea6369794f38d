import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { prettyLine } from '#src/cli/pretty-line.js'

const time = new Date(2026, 0, 31, 12, 4, 5, 250).getTime()
const job = { supervisor: 'ab', worker_id: 'ab/3', handler: 'email.send', job_id: 'order-7' }

function shown(fields: Record<string, unknown>, colours = false): string | undefined {
  return prettyLine(JSON.stringify({ level: 30, time, ...fields }), colours)
}

test('a line of the log is one that can be read', () => {
  assert.equal(
    shown({ ...job, attempt: 1, duration_ms: 12, msg: 'job completed' }),
    '12:04:05.250 INFO   email.send order-7  job completed  duration_ms=12',
  )
  assert.equal(
    shown({ level: 20, ...job, attempt: 2, msg: 'hi' }),
    '12:04:05.250 DEBUG  email.send order-7 attempt 2  hi',
  )
  assert.equal(shown({ msg: 'created stream JOBS' }), '12:04:05.250 INFO   created stream JOBS')
  assert.equal(shown({ time: undefined, level: undefined, msg: 'x' }), '--:--:--.--- TRACE  x')
})

test('what a change of supervisors says is left out, what a handler says is not', () => {
  assert.equal(shown({ msg: 'draining', in_flight: 1 }), undefined)
  assert.match(shown({ ...job, msg: 'draining' })!, /order-7 {2}draining$/)
})

test("an error is below its line, with the frames of the handler's own files", () => {
  const own = fileURLToPath(new URL('../../../dist/threads/thread-lane.js', import.meta.url))
  const stack = `Error: no\n    at run (/app/handlers/email/send.ts:7:11)\n    at start (${own}:1:1)\n    at node:internal/x:1:1`
  assert.equal(
    shown({ level: 40, ...job, msg: 'job retrying', err: { code: 'handler_error', message: 'no', stack } }),
    [
      '12:04:05.250 WARN   email.send order-7  job retrying',
      '    handler_error: no',
      '    at run (/app/handlers/email/send.ts:7:11)',
    ].join('\n'),
  )
})

test('what others have written is text only, painted or not', () => {
  const evil = '\u001b]0;owned\u0007\nforged'
  const fields = { handler: evil, job_id: evil, msg: evil, [evil]: evil, err: { code: evil, message: evil } }
  for (const line of [shown(fields)!, prettyLine(evil, false)!, shown(fields, true)!]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
    const unpainted = line.replaceAll(/\u001b\[\d+m/g, '')
    assert.doesNotMatch(unpainted.replaceAll('\n', ''), /\p{Cc}/u)
    assert.ok(!unpainted.split('\n').some((text) => text.startsWith('forged')), unpainted)
  }
  assert.ok(shown(job, true)!.startsWith('\u001b[2m12:04'))
})
