import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { encodeJobs } from '#src/threads/job-batch.js'
import { cell, createTable, phaseOf, phases } from '#src/threads/lane-protocol.js'
import { Mailbox } from '#src/threads/mailbox.js'
import { monotonicMs } from '#src/threads/monotonic.js'
import { heldJob } from '../support/fake-engine-parts.ts'

test('a job is claimed while its lease lasts, and not when it was taken back or its lease has run out', () => {
  const table = createTable(4)
  const mailbox = new Mailbox(table)
  const now = monotonicMs()
  const post = (slot: number, leaseUntil: number): InFlightJob => {
    const job = heldJob(slot + 1)
    Object.assign(job, { slot, ticket: slot + 10 })
    table.leaseUntil[slot] = leaseUntil
    table.cells[slot] = cell(job.ticket, phases.posted)
    return job
  }
  const jobs = [post(0, now - 1), post(1, now + 60_000), post(2, now - 1), post(3, now + 60_000)]
  mailbox.put(encodeJobs(jobs))
  table.cells[2] = cell(jobs[2]!.ticket, phases.taken)
  const claimed = [mailbox.claim(now), mailbox.claim(now), mailbox.claim(now)]
  assert.deepEqual(
    claimed.map((job) => job?.numbers[job.at]),
    [1, 3, undefined],
  )
  assert.deepEqual(Array.from(table.cells, phaseOf), [
    phases.late,
    phases.started,
    phases.taken,
    phases.started,
  ])
  assert.deepEqual([mailbox.late, mailbox.skipped], [true, true])
})
