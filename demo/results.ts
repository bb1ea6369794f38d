import type { DeadLetter } from './dead-letters.ts'
import type { DemoJob } from './load.ts'
import { type Sample, sumOf } from './metrics.ts'
import { formatTable } from './table.ts'

const errorWidth = 90

/** How many jobs are completed or dead letters, so that nothing more will happen to them. */
export function countEnded(samples: readonly Sample[]): number {
  return ['ack', 'dead_letter'].reduce(
    (sum, verdict) => sum + sumOf(samples, 'millrace_jobs_settled_total', { verdict }),
    0,
  )
}

/** The line that changes while jobs run. */
export function summarise(samples: readonly Sample[], jobs: number): string {
  const retried = sumOf(samples, 'millrace_jobs_settled_total', { verdict: 'retry' })
  const killed = sumOf(samples, 'millrace_attempts_total', { outcome: 'timed_out' })
  const dead = sumOf(samples, 'millrace_dead_letters_total')
  return `${countEnded(samples)} of ${jobs} jobs ended: ${retried} retried, ${killed} killed, ${dead} dead letters`
}

/** What became of the jobs, a row for each handler. */
export function tabulateJobs(samples: readonly Sample[], jobs: readonly DemoJob[]): string {
  const rowOf = (name: string, count: number, labels: Record<string, string>) => [
    name,
    String(count),
    ...[
      sumOf(samples, 'millrace_attempts_total', { ...labels, outcome: 'completed' }),
      sumOf(samples, 'millrace_jobs_settled_total', { ...labels, verdict: 'retry' }),
      sumOf(samples, 'millrace_attempts_total', { ...labels, outcome: 'timed_out' }),
      sumOf(samples, 'millrace_dead_letters_total', labels),
    ].map(String),
  ]
  const handlers = [...new Set(jobs.map((job) => job.handler))].sort()
  const rows = handlers.map((handler) =>
    rowOf(handler, jobs.filter((job) => job.handler === handler).length, { handler }),
  )
  const head = ['handler', 'jobs', 'completed', 'retried', 'killed at the deadline', 'dead letters']
  return formatTable(head, [...rows, rowOf('all', jobs.length, {})])
}

/** Why each dead letter is one. */
export function tabulateDeadLetters(letters: readonly DeadLetter[]): string {
  const rows = letters.map(({ subject, reason, attempts, error }) => [
    subject,
    reason,
    attempts,
    shorten(error),
  ])
  return formatTable(['dead letter of', 'reason', 'attempts', 'error'], rows)
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length > errorWidth ? `${line.slice(0, errorWidth - 1)}…` : line
}
