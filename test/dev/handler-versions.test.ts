import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HandlerVersions } from '#src/dev/handler-versions.js'

const built = (name: string, code: string) => ({ name, file: `${name}.mjs`, code })
const failed = (name: string) => ({ name, messages: ['no'] })

/** Has a first pair of handlers running. */
function running(): HandlerVersions {
  const versions = new HandlerVersions()
  const chosen = versions.choose({ handlers: [built('a', 'a1'), built('b', 'b1')], failures: [] })
  assert.deepEqual(
    [chosen.added, chosen.untried],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  )
  versions.accept(chosen)
  return versions
}

function codes(versions: HandlerVersions, ...build: Parameters<HandlerVersions['choose']>): string[] {
  return [...versions.choose(...build).handlers.values()].map(({ code }) => code)
}

test('what is new, has changed or is gone is told', () => {
  const chosen = running().choose({ handlers: [built('a', 'a2'), built('c', 'c1')], failures: [] })
  assert.deepEqual(
    [chosen.changed, chosen.added, chosen.removed, chosen.untried],
    [['a'], ['c'], ['b'], ['c', 'a']],
  )
})

test('nothing has changed when the code is the same', () => {
  const chosen = running().choose({ handlers: [built('a', 'a1'), built('b', 'b1')], failures: [] })
  assert.deepEqual([chosen.untried, chosen.removed], [[], []])
})

test('one that does not compile keeps its last version, if it has one', () => {
  const build = { handlers: [built('b', 'b2')], failures: [failed('a'), failed('new')] }
  assert.deepEqual(codes(running(), build), ['a1', 'b2'])
})

test('one that does not load keeps its last version until its code is another, or it is tried again', () => {
  const versions = running()
  versions.refuse(built('a', 'a2'))
  versions.refuse(built('new', 'n1'))
  const next = { handlers: [built('a', 'a2'), built('b', 'b1'), built('new', 'n1')], failures: [] }
  assert.deepEqual(codes(versions, next), ['a1', 'b1'])
  const later = { handlers: [built('a', 'a3'), built('new', 'n2')], failures: [] }
  assert.deepEqual(codes(versions, later), ['a3', 'n2'])
  versions.tryAgain()
  assert.deepEqual(codes(versions, next), ['a2', 'b1', 'n1'])
})

test('the handlers that run, and which of their versions, are known', () => {
  const versions = running()
  assert.deepEqual(versions.names, ['a', 'b'])
  assert.deepEqual(
    [
      versions.isRunning('a'),
      versions.isRunning('a', 'a1'),
      versions.isRunning('a', 'a2'),
      versions.isRunning('c'),
    ],
    [true, true, false, false],
  )
})
