import path from 'node:path'
import { runChild } from '../contestants/child.ts'
import type { Stage } from './stage.ts'

/**
 * Publishes jobs, numbered from `first`, at a steady rate from a process of its own; resolves when the last one is sent.
 * Whether the server has all of them shows in the deliveries that are counted afterwards.
 */
export async function pace(
  stage: Stage,
  subject: string,
  perSecond: number,
  jobs: number,
  first = 0,
): Promise<void> {
  await runChild<{ sent: number }>(stage.options, {
    script: path.join(import.meta.dirname, 'pacer.js'),
    args: [stage.broker.url, subject, String(perSecond), String(jobs), String(first)],
  })
}
