import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readHistory } from '#src/core/history.js'
import {
  readWhereabouts,
  shortenWhereabouts,
  type Whereabouts,
  whereaboutsText,
} from '#src/core/whereabouts.js'

test('a sentence names the innermost place that its reader has written', () => {
  const texts: [Whereabouts, string | undefined][] = [
    [
      { kind: 'running', stack: ['spin (handlers/a.ts:3:5)', 'run (handlers/a.ts:9:1)'] },
      'in spin (handlers/a.ts:3:5)',
    ],
    [
      {
        kind: 'running',
        stack: [
          'wait (native)',
          'readSync (node:fs:1:2)',
          'x (node_modules/lib/x.js:1:1)',
          'handlers/a.ts:3:5',
        ],
      },
      'in handlers/a.ts:3:5',
    ],
    [{ kind: 'running', stack: ['then (native)'] }, 'in then (native)'],
    [{ kind: 'running', stack: [] }, 'in code without a name'],
    [
      { kind: 'behind', stack: ['other (handlers/b.ts:1:1)'] },
      'kept from going on by other (handlers/b.ts:1:1)',
    ],
    [
      { kind: 'waiting', resources: { TCPSocketWrap: 2, Timeout: 1 } },
      'waiting for 2 TCPSocketWrap, Timeout',
    ],
    [{ kind: 'waiting', resources: {} }, 'waiting for nothing that Node.js knows of'],
    [{ kind: 'native' }, 'blocked in native code'],
    [{ kind: 'unknown' }, undefined],
  ]
  for (const [where, text] of texts) assert.equal(whereaboutsText(where), text)
})

test('of a deep stack the innermost frames stay, without what could end a header', () => {
  const stack = Array.from({ length: 40 }, (_, n) => `f${n}\r\nNats-Rollup: all (a.ts:${n}:1)`)
  const { stack: kept } = shortenWhereabouts({ kind: 'running', stack })
  assert.equal(kept?.length, 10)
  assert.equal(kept?.[0], 'f0 Nats-Rollup: all (a.ts:0:1)')
  const wide = shortenWhereabouts({ kind: 'running', stack: stack.map(() => 'ä'.repeat(500)) })
  assert.equal(wide.stack?.length, 1)
  const long = shortenWhereabouts({ kind: 'running', stack: stack.map(() => 'x'.repeat(500)) })
  assert.deepEqual(
    long.stack?.map(({ length }) => length),
    [160, 160, 160, 160, 160, 160],
  )
})

test('what somebody stored as whereabouts is read as far as it is some', () => {
  const where: Whereabouts = { kind: 'waiting', resources: { Timeout: 1 } }
  assert.deepEqual(readWhereabouts(where), where)
  const odd = {
    kind: 'running',
    stack: ['a.ts:1:1', 7, null],
    resources: { '\u001b[2J': 1, Timeout: 'x', Immediate: 2 },
  }
  assert.deepEqual(readWhereabouts(odd), {
    kind: 'running',
    stack: ['a.ts:1:1'],
    resources: { Immediate: 2 },
  })
  for (const none of [undefined, null, 'running', [], { kind: 'elsewhere' }])
    assert.equal(readWhereabouts(none), undefined)
})

test('an entry of a history keeps its whereabouts, and is kept without those that are none', () => {
  const read = readHistory(
    JSON.stringify([
      { attempt: 1, outcome: 'timed_out', where: { kind: 'native' } },
      { attempt: 2, outcome: 'timed_out', where: 'somewhere' },
    ]),
  )
  assert.deepEqual(read, [
    { attempt: 1, outcome: 'timed_out', where: { kind: 'native' } },
    { attempt: 2, outcome: 'timed_out' },
  ])
})
