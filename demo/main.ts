import { setTimeout as wait } from 'node:timers/promises'
import { readDeadLetters } from './dead-letters.ts'
import { DemoError } from './demo-error.ts'
import { type DemoJob, listJobs, publishJobs } from './load.ts'
import { readMetrics, type Sample } from './metrics.ts'
import { createProgress, describeLine, type Progress } from './progress.ts'
import { countEnded, summarise, tabulateDeadLetters, tabulateJobs } from './results.ts'
import { type Stage, setStage } from './stage.ts'

const pollMs = 100
const limitMs = 50_000

/** What the demo can be told. */
export type DemoOptions = {
  /** The nats-server to run. */
  binary: string
  /** Whether to stay up after the table, for looking around. */
  keep: boolean
  /** Ends the demo early. */
  signal: AbortSignal
}

/**
 * Runs a broker, a supervisor and a mixed load, among it a job that loops for ever and a poison
 * message, and prints what became of every job. Whatever happens, nothing is left running.
 *
 * @throws {DemoError} when a job did not end in time or the supervisor died.
 */
export async function runDemo({ binary, keep, signal }: DemoOptions): Promise<void> {
  const progress = createProgress()
  const beginAt = Date.now()
  let stage: Stage | undefined
  try {
    stage = await setStage(binary, signal, (line) => {
      const text = describeLine(line)
      if (text !== undefined) progress.note(text)
    })
    await Promise.race([play(stage, progress, keep), stage.supervisor.failure, rejectWhen(signal)])
  } catch (error) {
    if (!signal.aborted) throw error
    progress.note('interrupted, stopping what runs')
  } finally {
    await stage?.clear()
    progress.note(`everything is stopped, after ${secondsSince(beginAt)} s`)
  }
}

async function play(stage: Stage, progress: Progress, keep: boolean): Promise<void> {
  const { broker, supervisor, connection, receiver } = stage
  progress.note(`nats-server ${broker.version} is at ${broker.url}`)
  progress.note(`the supervisor is process ${supervisor.pid}, with ${supervisor.url}/metrics`)
  const jobs = listJobs(stage.files, receiver.url)
  progress.note(`publishing ${jobs.length} jobs, one of which loops for ever and one is no JSON`)
  await publishJobs(connection, jobs)

  const publishedAt = Date.now()
  const samples = await untilEnded(supervisor.url, jobs, progress)
  progress.note(`every job has ended, ${secondsSince(publishedAt)} s after the last one was published`)
  const letters = await readDeadLetters(connection)
  process.stdout.write(`\n${tabulateJobs(samples, jobs)}\n\n${tabulateDeadLetters(letters)}\n\n`)
  if (!keep) return

  process.stdout.write(`${describeStage(stage)}\n\n`)
  await new Promise(() => {})
}

async function untilEnded(url: string, jobs: readonly DemoJob[], progress: Progress): Promise<Sample[]> {
  const giveUpAt = Date.now() + limitMs
  for (;;) {
    const samples = await readMetrics(url)
    const ended = countEnded(samples)
    if (ended >= jobs.length) return samples
    progress.update(summarise(samples, jobs.length))
    if (Date.now() > giveUpAt) {
      throw new DemoError(`only ${ended} of ${jobs.length} jobs had ended after ${limitMs} ms`)
    }
    await wait(pollMs)
  }
}

function describeStage({ broker, supervisor, files }: Stage): string {
  return [
    `  NATS     ${broker.url}`,
    `  metrics  ${supervisor.url}/metrics`,
    `  ready    ${supervisor.url}/readyz`,
    `  try      nats -s ${broker.url} pub jobs.file.hash '${JSON.stringify({ path: files.sales })}'`,
    '  Ctrl-C   ends everything',
  ].join('\n')
}

function rejectWhen(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

function secondsSince(instant: number): string {
  return ((Date.now() - instant) / 1_000).toFixed(1)
}
