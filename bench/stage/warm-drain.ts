import type { Running } from '../contestants/contestant.ts'
import type { Values } from '../scenario.ts'
import { jobStream, type Stage } from './stage.ts'
import { withWarmUp } from './warm-up.ts'
import { untilEmpty, watchStage } from './watch.ts'

/**
 * Drains jobs by processes that are warm: they take what warms them up, stand still until the jobs that count are there,
 * and go on when the clock starts. So nothing is under way when it starts; who does not wait for the server would else
 * be ahead of it.
 *
 * @param fill - puts so many jobs in, numbered from `first`.
 */
export async function drainWarm(
  stage: Stage,
  jobs: number,
  fill: (first: number, count: number) => Promise<void>,
  start: () => Promise<readonly Running[]>,
): Promise<{ readonly values: Values; readonly running: readonly Running[]; readonly all: number }> {
  const all = withWarmUp(jobs)
  await fill(0, all - jobs)
  const running = await start()
  const left = async () => (await stage.streams.streams.info(jobStream)).state.messages
  await untilEmpty({ left }, { failure: Promise.race(running.map(({ failure }) => failure)) }, '')
  const goOn = await refill(running, () => fill(all - jobs, jobs))
  return { values: await watchStage(stage, running, jobs, goOn), running, all }
}

/** Lets processes stand still while jobs are put in, and returns what lets them go on. */
export async function refill(
  running: readonly Pick<Running, 'pid'>[],
  fill: () => Promise<void>,
): Promise<() => void> {
  for (const { pid } of running) process.kill(pid, 'SIGSTOP')
  await fill()
  return () => {
    for (const { pid } of running) process.kill(pid, 'SIGCONT')
  }
}
