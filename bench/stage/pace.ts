import path from 'node:path'
import { BenchError } from '../bench-error.ts'
import { startChild } from '../contestants/child.ts'
import { jobStream, type Stage } from './stage.ts'

/**
 * Publishes jobs at a steady rate from a process of its own; resolves when the last one is sent.
 *
 * @throws {BenchError} when the server did not store all of them.
 */
export async function pace(stage: Stage, subject: string, perSecond: number, jobs: number): Promise<void> {
  const before = await lastSequence(stage)
  const child = await startChild({
    script: path.join(import.meta.dirname, 'pacer.js'),
    args: [stage.broker.url, subject, String(perSecond), String(jobs)],
  })
  stage.onClear(() => child.stop())
  await child.ended
  const stored = (await lastSequence(stage)) - before
  if (stored !== jobs)
    throw new BenchError(`the server stored ${stored} of ${jobs} jobs: ${child.tail.join('\n')}`)
}

async function lastSequence(stage: Stage): Promise<number> {
  return (await stage.streams.streams.info(jobStream)).state.last_seq
}
