import { JetStreamApiError } from '@nats-io/jetstream'
import { eventually } from '../../support/eventually.ts'
import type { Power } from '../evidence.ts'
import type { Fault } from '../fault.ts'
import { ackWaitMs, type Stage } from '../stage.ts'
import { lasting } from './lasting.ts'

async function isThere(stage: Stage, stream: string): Promise<void> {
  await eventually(`${stream} is there again`, () => stage.view.jsm.streams.info(stream))
}

function deleted(stream: string, powers: readonly Power[]): Fault {
  return {
    name: `${stream} deleted`,
    powers,
    async strike(stage) {
      await stage.letters.read()
      await stage.view.jsm.streams.delete(stream)
      await isThere(stage, stream)
      return undefined
    },
  }
}

const consumerDeleted: Fault = {
  name: 'consumer deleted',
  powers: ['repeat', 'charge often', 'overlap', 'forget'],
  async strike(stage) {
    const consumer = stage.random.pick(['cpu', 'io', 'keyed'])
    await stage.view.jsm.consumers.delete('JOBS', consumer)
    await eventually(`${consumer} is there again`, () => stage.view.jsm.consumers.info('JOBS', consumer))
    return undefined
  },
}

/** Lets a stream take so many messages more while something is done, and then as many as it likes. */
async function limited(
  stage: Stage,
  stream: string,
  room: number,
  during: () => Promise<unknown>,
): Promise<void> {
  const { streams } = stage.view.jsm
  const { state } = await streams.info(stream)
  try {
    await streams.update(stream, { max_msgs: state.messages + room })
    await during()
  } finally {
    await eventually(`${stream} takes messages`, () => streams.update(stream, { max_msgs: -1 }))
  }
}

const full: Fault = {
  name: 'JOBS full',
  powers: [],
  async strike(stage) {
    // Never below what is there: the server would delete the oldest. Messages that no handler takes fill it up.
    const { jsm, js } = stage.view
    const isRefused = (error: unknown): boolean => error instanceof JetStreamApiError
    try {
      await limited(stage, 'JOBS', 100, async () => {
        await eventually('the broker refuses jobs', async () => {
          const fill = async (): Promise<boolean> =>
            js.publish('jobs.filling', '{}').then(() => false, isRefused)
          return (await Promise.all(Array.from({ length: 50 }, fill))).some((refused) => refused)
        })
        await lasting(ackWaitMs * 0.3)
      })
    } finally {
      await eventually('the filling is gone', () => jsm.streams.purge('JOBS', { filter: 'jobs.filling' }))
    }
    return undefined
  },
}

const deadFull: Fault = {
  name: 'JOBS_DEAD full',
  powers: [],
  async strike(stage) {
    await limited(stage, 'JOBS_DEAD', 3, () =>
      eventually('a dead letter is refused', () =>
        stage.fleet.berths.some(({ supervisor }) =>
          supervisor.lines.some((line) => line.msg === 'dead letter refused, trying again'),
        ),
      ),
    )
    return undefined
  },
}

/** What somebody can do to streams, consumers and buckets while supervisors run. */
export const topologyFaults: readonly Fault[] = [
  consumerDeleted,
  deleted('JOBS', ['repeat', 'charge often', 'overlap', 'forget', 'lose']),
  // What was stored there is gone; a dead letter under way is stored again or in the new stream.
  deleted('JOBS_DEAD', []),
  deleted('JOBS_DELAYED', ['lose']),
  deleted('KV_jobs_attempts', ['charge often', 'forget']),
  deleted('KV_jobs_control', []),
  full,
  deadFull,
]
