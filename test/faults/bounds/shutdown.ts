import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../../support/eventually.ts'
import { linkTo } from '../../support/link.ts'
import type { Exit, Supervisor } from '../../support/supervisor.ts'
import { World } from '../../support/world.ts'
import { boundsHandlers, describeTimes, monotonicMs, type Row, Scope } from './bound.ts'

const drainMs = 500
const graceMs = 200
const limitMs = drainMs + graceMs + 2_000
/** A second signal skips drain and grace. */
const hurriedLimitMs = 2_000

/** What the supervisor is doing, or what has happened to it, when it is told to stop. */
export const shutdownScenes = [
  'idle',
  'busy',
  'busy, second signal',
  'broker killed',
  'broker paused',
  'broker blackholed',
  'stuck thread',
  'stuck thread, second signal',
  'stuck thread, broker blackholed',
  'busy as process 1',
  'stuck thread as process 1',
  'stuck thread below an init',
] as const

export type ShutdownScene = (typeof shutdownScenes)[number]

const unshared = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
/** As little as an init does: it hands a signal on, and ends as its child ended. */
const init =
  '"$@" & child=$!; trap "kill -TERM $child" TERM; wait $child; code=$?; while kill -0 $child 2>/dev/null; do wait $child; code=$?; done; exit $code'

/** From the signal to the end of the process. */
export function shutdown({ scene, times }: { scene: ShutdownScene; times: number }): Promise<Row> {
  const strictMs = scene.includes('second signal') ? hurriedLimitMs : limitMs
  const row = {
    bound: `shutdown: ${scene}`,
    limit: `${strictMs} ms, all; ${endOf(scene).words}`,
  }
  const launcher = launcherFor(scene)
  if (launcher.length > 0 && !canUnshare()) {
    const detail = 'unshare --pid is not possible here'
    return Promise.resolve({ ...row, measured: 'not measured', holds: true, detail, values: [] })
  }
  return Scope.of(async (scope) => {
    const late: number[] = []
    const ends = new Map<string, number>()
    let asDocumented = true
    for (let n = 0; n < times; n++) {
      const { tookMs, exit } = await stopOnce(scope, scene, launcher)
      late.push(tookMs)
      const words = exit.signal ?? `exit code ${exit.code}`
      ends.set(words, (ends.get(words) ?? 0) + 1)
      asDocumented &&= endOf(scene).fits(exit)
    }
    return {
      ...row,
      measured: `${describeTimes(late)}; ${[...ends].map(([words, count]) => `${count} times ${words}`).join(', ')}`,
      holds: Math.max(...late) <= strictMs && asDocumented,
      detail: `drain ${drainMs} ms, grace ${graceMs} ms`,
      values: asDocumented ? late : [Number.POSITIVE_INFINITY],
    }
  })
}

async function stopOnce(
  scope: Scope,
  scene: ShutdownScene,
  launcher: readonly string[],
): Promise<{ tookMs: number; exit: Exit }> {
  const hurried = scene.includes('second signal')
  const world = await World.create(scope, {
    env: {
      MILLRACE_HANDLERS: boundsHandlers,
      MILLRACE_DRAIN_MS: hurried ? '60000' : String(drainMs),
      MILLRACE_GRACE_MS: hurried ? '30000' : String(graceMs),
    },
  })
  const { broker, ledger, server } = world
  const link = await linkTo(scope, server.url)
  const supervisor = world.spawn({ NATS_URL: link.url }, launcher)
  await supervisor.ready()
  const jobs: string[] = []
  if (scene !== 'idle') {
    jobs.push(...(await broker.enqueueAll('io', [{ do: 'ignore' }, { do: 'ignore', n: 1 }])))
    jobs.push(...(await broker.enqueueAll('act', [{ do: 'ignore' }])))
  }
  if (scene.includes('stuck')) {
    const fifo = join(world.folder, 'fifo')
    execFileSync('mkfifo', [fifo])
    jobs.push(await broker.enqueue('act', { do: 'read-fifo', fifo, gate: world.gate('closed').path }))
  }
  await eventually('all of it runs', () => jobs.every((id) => ledger.starts(id).length === 1))
  if (scene.includes('killed')) {
    server.kill('SIGKILL')
    await server.ended()
  }
  if (scene.includes('paused')) server.kill('SIGSTOP')
  if (scene.includes('blackholed')) link.set('blackhole')

  let askedAt = monotonicMs()
  terminate(supervisor, launcher)
  if (hurried) {
    await supervisor.line('draining')
    askedAt = monotonicMs()
    terminate(supervisor, launcher)
  }
  const exit = await supervisor.exited
  return { tookMs: monotonicMs() - askedAt, exit }
}

/** A signal to the launcher would end the launcher. */
function terminate(supervisor: Supervisor, launcher: readonly string[]): void {
  if (launcher.length === 0) supervisor.signal('SIGTERM')
  else {
    const [child] = readFileSync(`/proc/${supervisor.pid}/task/${supervisor.pid}/children`, 'utf8').split(' ')
    process.kill(Number(child), 'SIGTERM')
  }
}

function launcherFor(scene: ShutdownScene): readonly string[] {
  if (scene.endsWith('as process 1')) return unshared
  return scene.endsWith('below an init') ? [...unshared, 'sh', '-c', init, 'init'] : []
}

function canUnshare(): boolean {
  const [command, ...args] = unshared
  return spawnSync(command!, [...args, 'true']).status === 0
}

/** As the guarantees say: a process that a stuck thread keeps from exiting kills itself. */
function endOf(scene: ShutdownScene): { words: string; fits(exit: Exit): boolean } {
  if (!scene.includes('stuck')) return { words: 'exit code 0', fits: ({ code }) => code === 0 }
  if (scene.endsWith('as process 1'))
    return { words: 'by abort', fits: ({ signal }) => signal === 'SIGABRT' || signal === 'SIGSEGV' }
  return {
    words: 'by SIGKILL',
    fits: ({ code, signal }) => signal === 'SIGKILL' || code === 137,
  }
}
