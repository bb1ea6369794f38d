import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../support/eventually.ts'
import { linkTo } from '../../support/link.ts'
import { World } from '../../support/world.ts'
import { boundsHandlers, type Row, Scope } from './bound.ts'

type Fault = 'SIGTERM' | 'broker paused' | 'connection reset'

export interface Duplicates {
  fault: Fault
  /** At least so many. */
  jobs: number
  /** How often at least; jobs are enqueued until then. */
  faults: number
}

/** How many of many jobs ran not exactly once while a fault that must not cost a second run comes again and again. */
export function duplicates({ fault, jobs, faults }: Duplicates): Promise<Row> {
  return Scope.of(async (scope) => {
    const world = await World.create(scope, {
      env: {
        MILLRACE_HANDLERS: boundsHandlers,
        MILLRACE_ACK_WAIT_MS: '10000',
        MILLRACE_JOB_LOGS: 'errors',
      },
    })
    const { broker, ledger, server } = world
    const link = await linkTo(scope, server.url)
    const start = (): ReturnType<typeof world.supervise> => world.supervise({ NATS_URL: link.url })
    let supervisors = await Promise.all([start(), start()])
    const causes: Record<Fault, () => Promise<void>> = {
      SIGTERM: async () => {
        const [first, second] = supervisors
        const third = await start()
        await first!.stop(60_000)
        supervisors = [second!, third]
      },
      'broker paused': async () => {
        server.kill('SIGSTOP')
        await sleep(200 + Math.random() * 1_300)
        server.kill('SIGCONT')
        await sleep(Math.random() * 500)
      },
      'connection reset': async () => {
        link.reset()
        await sleep(100 + Math.random() * 400)
      },
    }

    const ids: string[] = []
    const isOver = (): boolean => ledger.count('end').size >= ids.length
    let caused = 0
    let enqueued = false
    const enqueue = async (): Promise<void> => {
      for (let n = 0; n < jobs || caused < faults; n += 20) {
        const some = Array.from({ length: 20 }, (_, of) => of + n)
        const body = (of: number): object => ({ do: 'sleep', ms: of % 30, n: of })
        const stored = some.map((of) =>
          eventually('it is stored', () =>
            broker.enqueue(of % 3 === 0 ? 'act' : 'io', body(of), { id: `job-${of}` }),
          ),
        )
        ids.push(...(await Promise.all(stored)))
        // So that there is work for as long as there are faults.
        await eventually('not too much waits', () => ids.length - ledger.count('end').size < 300, 300_000)
      }
    }
    const enqueueing = enqueue().finally(() => {
      enqueued = true
    })
    while (!(enqueued && isOver())) {
      await causes[fault]()
      caused += 1
    }
    await enqueueing
    await eventually('every job has ended', isOver, 300_000)
    await broker.drained(60_000)

    const starts = ledger.count('start')
    const ends = ledger.count('end')
    const repeated = ids.filter((id) => (starts.get(id) ?? 0) > 1)
    const lost = ids.filter((id) => !ends.has(id))
    const letters = await broker.deadLetters()
    return {
      bound: `no job runs twice: ${fault} under load`,
      limit: '0 duplicates, 0 lost',
      measured: `${repeated.length} duplicates, ${lost.length} lost, ${letters.length} dead letters`,
      holds: repeated.length + lost.length + letters.length === 0,
      detail: `${ids.length} jobs, ${caused} times${repeated.length > 0 ? `; ${describe(repeated)}` : ''}`,
      values: [repeated.length, lost.length, letters.length, caused],
    }

    function describe(some: string[]): string {
      return some
        .slice(0, 5)
        .map((id) => {
          const runs = ledger
            .of(id)
            .map(({ kind, attempt, pid, atMs }) => `${kind} ${attempt} pid ${pid} at ${Math.round(atMs)}`)
          return `${id}: ${runs.join(', ')}`
        })
        .join('; ')
    }
  })
}
