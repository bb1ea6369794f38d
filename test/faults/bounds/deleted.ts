import { eventually } from '../../support/eventually.ts'
import { World } from '../../support/world.ts'
import { describeTimes, monotonicMs, type Row, Scope } from './bound.ts'

/** Of it up to two seconds until it is missed, and one more until it is made anew. */
const limitMs = 4_000

type What = 'consumer' | 'job stream' | 'dead-letter stream' | 'bucket of attempts' | 'bucket of controls'

/** From the deletion to the moment that a job which needs what was deleted has been dealt with. */
export function deleted({ what, times }: { what: What; times: number }): Promise<Row> {
  return Scope.of(async (scope) => {
    const world = await World.create(scope)
    const { broker, ledger } = world
    await world.supervise()
    const { streams, consumers } = broker.jsm
    const late: number[] = []
    const accepted = (body: object): Promise<string> =>
      eventually('a job is accepted', () => broker.enqueue('act', body))
    const exists = (stream: string): Promise<unknown> =>
      eventually(`${stream} is there again`, () => streams.info(stream))
    for (let n = 0; n < times; n++) {
      const askedAt = monotonicMs()
      switch (what) {
        case 'consumer':
          await consumers.delete('JOBS', 'act')
          await runs(await accepted({ do: 'return', n }))
          break
        case 'job stream':
          await streams.delete('JOBS')
          await runs(await accepted({ do: 'return', n }), askedAt)
          break
        case 'dead-letter stream':
          await streams.delete('JOBS_DEAD')
          await broker.deadLetter(await accepted({ do: 'permanent', n }))
          break
        case 'bucket of attempts':
          await streams.delete('KV_jobs_attempts')
          await runs(await accepted({ do: ['throw', 'return'], n }))
          await exists('KV_jobs_attempts')
          break
        case 'bucket of controls':
          await streams.delete('KV_jobs_control')
          await exists('KV_jobs_control')
          await runs(await accepted({ do: 'return', n }))
      }
      late.push(monotonicMs() - askedAt)
      await broker.drained()
    }
    return {
      bound: `recovery from a deleted ${what}`,
      limit: `${limitMs} ms, all`,
      measured: describeTimes(late),
      holds: Math.max(...late) <= limitMs,
      values: late,
    }

    /** The ids of a new stream begin again at 1. */
    async function runs(id: string, sinceMs = 0): Promise<void> {
      await eventually('it has run', () =>
        ledger.ends(id).some((line) => line.how === 'returned' && line.atMs > sinceMs),
      )
    }
  })
}
