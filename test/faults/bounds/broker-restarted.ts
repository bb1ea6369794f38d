import { connect as connectSocket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@nats-io/transport-node'
import { eventually } from '../../support/eventually.ts'
import { World } from '../../support/world.ts'
import { describeTimes, monotonicMs, quantile, type Row, Scope } from './bound.ts'

const limitMs = 1_000

export interface BrokerRestarts {
  signal: 'SIGKILL' | 'SIGTERM'
  restarts: number
  /** The broker is away for up to so long. */
  awayMs: number
}

/** From the moment that a restarted broker's port is open to the start of the first job that it hands out. */
export function restartedBroker({ signal, restarts, awayMs }: BrokerRestarts): Promise<Row> {
  return Scope.of(async (scope) => {
    const world = await World.create(scope, { env: { MILLRACE_JOB_LOGS: 'errors' } })
    const { broker, ledger, server } = world
    await world.supervise()
    const late: number[] = []
    for (let restart = 0; restart < restarts; restart++) {
      const isWaiting = restart % 2 === 0
      const jobs = Array.from({ length: isWaiting ? 30 : 0 }, (_, n) => ({ do: 'sleep', ms: 50, n }))
      await broker.enqueueAll('act', jobs)
      if (isWaiting) await eventually('work is under way', () => ledger.count('start').size > 0)
      server.kill(signal)
      await server.ended()
      const askedAt = monotonicMs()
      // What was handed out before goes on: the first job that follows must not be one of them.
      await eventually('what was handed out has ended', () => {
        const quietSince = Math.max(0, ...ledger.lines().map((line) => line.atMs))
        const runs = ledger.lines().filter((line) => line.kind === 'start').length
        const ends = ledger.lines().filter((line) => line.kind === 'end').length
        return runs === ends && monotonicMs() - Math.max(quietSince, askedAt) > 150
      })
      await sleep(Math.random() * awayMs)
      const opening = portOpens(Number(new URL(server.url).port))
      const restarting = server.restart()
      const openAt = await opening
      await restarting
      if (!isWaiting) await publishAtOnce(server.url, restart)
      const first = await eventually('a job starts', () =>
        ledger.lines().find((line) => line.kind === 'start' && line.atMs > openAt),
      )
      late.push(first.atMs - openAt)
      await eventually('the client is back', () => broker.nc.rtt())
      await eventually('all is done', async () => {
        const { num_pending, num_ack_pending } = await broker.jsm.consumers.info('JOBS', 'act')
        return num_pending + num_ack_pending === 0
      })
    }
    return {
      bound: `first job after a broker restart (${signal})`,
      limit: `p99 ${limitMs} ms after its port is open`,
      measured: describeTimes(late),
      holds: quantile(late, 0.99) <= limitMs,
      detail: `${restarts} restarts, away for up to ${awayMs} ms, in turn with jobs waiting and a job published at once`,
      values: late,
    }
  })
}

/** When the first connection is accepted. */
async function portOpens(port: number): Promise<number> {
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connectSocket(port, '127.0.0.1')
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (isOpen) return monotonicMs()
    await sleep(2)
  }
}

/** As an application does that starts now: it does not wait for a client that is still reconnecting. */
async function publishAtOnce(url: string, n: number): Promise<void> {
  const nc = await connect({ servers: url, waitOnFirstConnect: true, reconnectTimeWait: 10 })
  await eventually('the job is accepted', () =>
    nc.request('jobs.act', JSON.stringify({ do: 'return', n }), { timeout: 500 }),
  )
  await nc.close()
}
