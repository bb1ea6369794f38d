import { eventually } from '../../support/eventually.ts'
import { World } from '../../support/world.ts'
import { describeTimes, monotonicMs, type Row, Scope } from './bound.ts'

const ackWaitMs = 2_000
const limitMs = ackWaitMs + 1_000

/** From the kill of a supervisor to the start elsewhere of each job that it held, running or waiting. */
export function killedSupervisor({ kills }: { kills: number }): Promise<Row> {
  return Scope.of(async (scope) => {
    const env = {
      MILLRACE_ACK_WAIT_MS: String(ackWaitMs),
      MILLRACE_THREADS: '2',
      MILLRACE_JOB_LOGS: 'errors',
    }
    const world = await World.create(scope, { env })
    const { broker, ledger } = world
    const late: number[] = []
    let waited = 0
    let doomed = await world.supervise()
    for (let kill = 0; kill < kills; kill++) {
      // The first run never ends by itself, the next one does at once.
      const held = { do: ['ignore', 'return'], kill }
      const running = [
        ...(await broker.enqueueAll('act', [held, held])),
        ...(await broker.enqueueAll('io', [held, held, held])),
      ]
      const waiting = await broker.enqueueAll('act', [{ do: 'return', kill }])
      await eventually('it holds them', () => running.every((id) => ledger.starts(id).length === 1))
      const survivor = await world.supervise()
      // Uneven, so that the kill falls anywhere between two renewals of a lease.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * ackWaitMs))
      const left = [...running, ...waiting].filter((id) => ledger.ends(id).length === 0)
      const killedAt = monotonicMs()
      await doomed.kill()
      const startOf = (id: string) =>
        ledger.starts(id).find((line) => line.pid === survivor.pid && line.atMs >= killedAt)
      await eventually('all of them start elsewhere', () => left.every((id) => startOf(id)))
      for (const id of left) late.push(startOf(id)!.atMs - killedAt)
      waited += left.length - running.length
      await broker.drained()
      doomed = survivor
    }
    return {
      bound: 'jobs of a killed supervisor run elsewhere',
      limit: `ack wait + 1 s (${limitMs} ms), all`,
      measured: describeTimes(late),
      holds: Math.max(...late) <= limitMs,
      detail: `${kills} kills, ack wait ${ackWaitMs} ms, ${late.length} jobs of which ${waited} had not begun`,
      values: late,
    }
  })
}
