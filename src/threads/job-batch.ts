import type { InFlightJob } from '../engine/in-flight-job.ts'
import { fieldCount, fields, headCount, type JobBatch, type JobExtras } from './lane-protocol.ts'

/** Jobs on their way to a thread: their numbers and their payloads in one buffer, which is transferred. */
export function encodeJobs(jobs: readonly InFlightJob[]): JobBatch {
  let bytes = 0
  let extras: (JobExtras | undefined)[] | undefined
  for (let position = 0; position < jobs.length; position += 1) {
    const job = jobs[position]!
    bytes += job.data.length
    if (job.headers) {
      extras ??= new Array<JobExtras | undefined>(jobs.length).fill(undefined)
      extras[position] = { id: job.id, headers: job.headers }
    }
  }
  const numberCount = headCount + jobs.length * fieldCount
  const numbersBytes = numberCount * 8
  const buffer = new ArrayBuffer(numbersBytes + bytes)
  const numbers = new Float64Array(buffer, 0, numberCount)
  const payloads = new Uint8Array(buffer, numbersBytes)
  let offset = 0
  let at = headCount
  numbers[0] = jobs.length
  for (const job of jobs) {
    payloads.set(job.data, offset)
    numbers[at + fields.slot] = job.slot
    numbers[at + fields.ticket] = job.ticket
    numbers[at + fields.handler] = job.handler.index
    numbers[at + fields.offset] = offset
    numbers[at + fields.length] = job.data.length
    numbers[at + fields.json] = job.json ? 1 : 0
    numbers[at + fields.attempt] = job.attempt
    numbers[at + fields.maxAttempts] = job.maxAttempts
    numbers[at + fields.deadlineMs] = job.deadlineMs
    numbers[at + fields.expiresAt] = job.expiresAt
    numbers[at + fields.sequence] = job.sequence
    numbers[at + fields.enqueuedAt] = job.enqueuedAt
    numbers[at + fields.redelivered] = job.deliveries > 1 ? 1 : 0
    numbers[at + fields.level] = job.source.level
    offset += job.data.length
    at += fieldCount
  }
  return extras ? { buffer, extras } : buffer
}
