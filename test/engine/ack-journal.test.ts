import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AckJournal, type SentAck } from '#src/engine/ack-journal.js'

const ack = fc
  .tuple(
    // A few fill half a chunk.
    fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(1, 25) },
      { weight: 1, arbitrary: fc.constant(40_000) },
    ),
    fc.constantFrom('a', 'email.send'),
    fc.constantFrom('JOBS', 'JOBS_HIGH'),
  )
  .map(([length, handler, stream]) => ({ reply: 'r'.repeat(length), handler, stream }))

test('property: the journal has every ack from a number on, whatever was dropped before it', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          { weight: 40, arbitrary: ack },
          { weight: 2, arbitrary: fc.constant('drop' as const) },
          { weight: 1, arbitrary: fc.constant('read' as const) },
        ),
        { maxLength: 300, size: 'max' },
      ),
      fc.integer({ min: 0, max: 150 }),
      (steps, back) => {
        const journal = new AckJournal()
        const model: SentAck[] = []
        let dropped = 0
        for (const step of steps) {
          if (step === 'read') assert.deepEqual(journal.from(dropped), model.slice(dropped))
          else if (step === 'drop') {
            dropped = Math.max(dropped, model.length - back)
            journal.dropBefore(dropped)
          } else {
            journal.add(step.reply, step.handler, step.stream)
            model.push(step)
          }
          assert.equal(journal.end, model.length)
        }
        assert.deepEqual(journal.from(dropped), model.slice(dropped))
        const middle = Math.ceil((dropped + model.length) / 2)
        assert.deepEqual(journal.from(middle), model.slice(middle))
      },
    ),
  )
})

test('the space of what was dropped is used again', () => {
  const journal = new AckJournal()
  const before = process.memoryUsage().arrayBuffers
  for (let index = 0; index < 200_000; index += 1) {
    journal.add(`$JS.ACK.JOBS.email.send.1.${index}.${index}.1795741094342000000.0`, 'email.send', 'JOBS')
    if (index % 1_000 === 0) journal.dropBefore(index)
  }
  assert.equal(journal.from(199_999).length, 1)
  assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024)
})
