import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readHistory } from '#src/core/history.js'
import type { Whereabouts } from '#src/core/whereabouts.js'
import { millrace } from '../support/command-line.ts'
import { type LogLine, projectRoot } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

const handlers = join(projectRoot, 'build/test/fixtures/handlers/stuck')
const source = 'test/fixtures/handlers/stuck'

/** A thread has a quarter of a second to answer, for which it may not get a processor: then once more, and again. */
const tries = 3

function lineOf(file: string, text: string): number {
  const lines = readFileSync(join(projectRoot, source, file), 'utf8').split('\n')
  return lines.findIndex((line) => line.includes(text)) + 1
}

const spinning = `addUp (${source}/spin.ts:${lineOf('spin.ts', 'while (running)')}:`

test('where an attempt was when it was killed is in its log line, its error and its history', async (t) => {
  const world = await World.create(t, {
    env: {
      MILLRACE_HANDLERS: handlers,
      MILLRACE_DEADLINE_MS: '300',
      MILLRACE_GRACE_MS: '300',
      MILLRACE_MAX_ATTEMPTS: '1',
    },
  })
  const { broker } = world
  const supervisor = await world.supervise()
  const died = async (handler: string, payload: object = {}, headers: Record<string, string> = {}) => {
    const id = await broker.enqueue(handler, payload, { headers })
    const letter = await broker.deadLetter(id)
    assert.equal(letter.reason, 'deadline')
    const history = readHistory(letter.headers['Millrace-History'])
    for (const { attempt, where } of history) {
      const isIt = (line: LogLine): boolean =>
        line.msg === 'thread killed' && line['job_id'] === id && line['attempt'] === attempt
      // Of several that are killed with one thread, the line names one.
      const killed = handler === 'shared' ? supervisor.lines.find(isIt) : await supervisor.line(isIt)
      if (killed) assert.deepEqual(killed['where'], where)
    }
    const kinds = history.map(({ where }) => where?.kind)
    const where = history.at(-1)?.where
    return { id, kinds, where, message: letter.headers['Millrace-Error-Message'] ?? '' }
  }
  /** The same, of a job whose every attempt is to be found like this. */
  const diedWhile = async (kind: Whereabouts['kind'], ...job: Parameters<typeof died>) => {
    let death = await died(...job)
    for (let n = 1; n < tries && death.kinds.some((found) => found !== kind); n += 1)
      death = await died(...job)
    return death
  }

  await t.test('a loop, attempt by attempt', async () => {
    const { id, where, message } = await diedWhile(
      'running',
      'spin',
      { canary: 'canary_4711' },
      { 'Millrace-Max-Attempts': '2' },
    )
    assert.equal(where?.kind, 'running')
    assert.ok(where?.stack?.[0]?.startsWith(spinning), where?.stack?.join())
    assert.ok(where?.stack?.[1]?.startsWith(`spin (${source}/spin.ts:`))
    assert.equal(where?.stack?.length, 2)
    assert.match(
      message,
      /^the attempt was still running at its deadline of 300 ms, in addUp \(test\/fixtures/,
    )

    const shown = await millrace(['dead', 'show', id], { NATS_URL: world.server.url })
    assert.match(shown.stdout, /\nattempt 1 was running\n {2}at addUp \(\S+spin\.ts:/)
    assert.match(shown.stdout, /\nattempt 2 was running\n {2}at addUp \(\S+spin\.ts:/)
    assert.ok(!shown.stdout.includes('canary_4711'))
    assert.ok(!supervisor.lines.some((line) => JSON.stringify(line).includes('canary_4711')))
  })

  await t.test('a wait', async () => {
    const { id, where, message } = await diedWhile('waiting', 'wait')
    assert.equal(where?.kind, 'waiting')
    assert.ok((where?.resources?.['TCPSocketWrap'] ?? 0) >= 1, JSON.stringify(where))
    assert.match(message, /300 ms, waiting for .*TCPSocketWrap/)
    const shown = await millrace(['dead', 'show', id, '--json'], { NATS_URL: world.server.url })
    assert.deepEqual(JSON.parse(shown.stdout).history[0].where, where)
  })

  await t.test('native code', async () => {
    const { where, message } = await diedWhile('native', 'native')
    assert.deepEqual(where, { kind: 'native' })
    assert.match(message, /300 ms, blocked in native code$/)
  })

  await t.test('beside others on its thread, each its own', async () => {
    const expected = ['waiting', 'running']
    const kindsOfBoth = async () => {
      // Both are told to stop before one of them begins to loop.
      const waiting = died('shared', { loop: false, afterMs: 0 })
      const looping = died('shared', { loop: true, afterMs: 1_200 })
      return (await Promise.all([waiting, looping])).map(({ where }) => where?.kind)
    }
    let kinds = await kindsOfBoth()
    for (let n = 1; n < tries && kinds.join() !== expected.join(); n += 1) kinds = await kindsOfBoth()
    assert.deepEqual(kinds, expected)
  })

  await t.test('not when it is switched off', async () => {
    await supervisor.stop()
    const silent = await world.supervise({ MILLRACE_AUTOPSY: 'off', MILLRACE_GRACE_MS: '0' })
    const letter = await broker.deadLetter(await broker.enqueue('spin', {}))
    assert.match(letter.headers['Millrace-Error-Message']!, /deadline of 300 ms$/)
    assert.ok(!letter.headers['Millrace-History']!.includes('where'))
    assert.ok(silent.lines.some((line) => line.msg === 'thread killed' && !('where' in line)))
  })
})
