import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../support/eventually.ts'
import { linkTo } from '../../support/link.ts'
import { World } from '../../support/world.ts'
import { describeTimes, monotonicMs, type Row, Scope } from './bound.ts'

const limitMs = 15_000

type Death = 'half-open' | 'blackhole' | 'to-server-lost' | 'to-client-lost'

/** From the moment that a connection dies without a word to the moment that the supervisor says so. */
export function deadConnection({ death, times }: { death: Death; times: number }): Promise<Row> {
  return Scope.of(async (scope) => {
    // A job that the server has just sent into the dead connection comes back after the ack wait.
    const world = await World.create(scope, { env: { MILLRACE_ACK_WAIT_MS: '2000' } })
    const { broker, ledger } = world
    const link = await linkTo(scope, world.server.url)
    const supervisor = await world.supervise({ NATS_URL: link.url })
    const noticed: number[] = []
    for (let n = 0; n < times; n++) {
      // Anywhere between two pings.
      await sleep(Math.random() * 5_000)
      const isIt = ({ msg }: { msg: string }): boolean => msg === 'disconnected from NATS'
      const before = supervisor.lines.filter(isIt).length
      const askedAt = monotonicMs()
      if (death === 'half-open') link.halfOpen()
      else link.set(death)
      await eventually('it is noticed', () => supervisor.lines.filter(isIt).length > before)
      noticed.push(monotonicMs() - askedAt)
      link.set('pass')
      const id = await broker.enqueue('act', { do: 'return', n })
      await eventually('jobs run again', () => ledger.ends(id).length > 0)
      await broker.drained()
    }
    return {
      bound: `a dead connection is noticed (${death})`,
      limit: `${limitMs} ms, all`,
      measured: describeTimes(noticed),
      holds: Math.max(...noticed) <= limitMs,
      values: noticed,
    }
  })
}
