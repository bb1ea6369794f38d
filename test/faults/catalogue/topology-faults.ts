import { JetStreamApiError } from '@nats-io/jetstream'
import { eventually } from '../../support/eventually.ts'
import type { Supervisor } from '../../support/supervisor.ts'
import { deadFilling } from '../collected-letters.ts'
import type { Power } from '../evidence.ts'
import type { Fault } from '../fault.ts'
import { ackWaitMs, jobFilling, type Stage } from '../stage.ts'
import { lasting } from './lasting.ts'

/** More than come while one request is on its way, besides jobs that have not ended. */
const spare = 300
const atOnce = 1_000

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

/**
 * Fills a stream up with messages that nobody takes while something is done, and lets it take any number afterwards.
 * A limit below what a stream has makes the server delete the oldest; so there is room for more than can come before
 * the limit holds.
 */
async function filled(
  stage: Stage,
  stream: string,
  subject: string,
  room: number,
  during: () => Promise<unknown>,
): Promise<void> {
  const { js, jsm } = stage.view
  const { state } = await jsm.streams.info(stream)
  const isRefused = (error: unknown): boolean => error instanceof JetStreamApiError
  const fill = async (): Promise<boolean> => js.publish(subject, '{}').then(() => false, isRefused)
  try {
    await jsm.streams.update(stream, { max_msgs: state.messages + room })
    await eventually(`${stream} takes no more`, async () =>
      (await Promise.all(Array.from({ length: atOnce }, fill))).some((refused) => refused),
    )
    await during()
  } finally {
    await eventually(`${stream} takes messages`, () => jsm.streams.update(stream, { max_msgs: -1 }))
    await eventually('the filling is gone', () => jsm.streams.purge(stream, { filter: subject }))
  }
}

const full: Fault = {
  name: 'JOBS full',
  powers: [],
  async strike(stage) {
    const room = stage.load.mostOpen + spare
    await filled(stage, 'JOBS', jobFilling, room, () => lasting(ackWaitMs * 0.3))
    return undefined
  },
}

function refusals({ lines }: Supervisor): number {
  return lines.filter(({ msg }) => msg === 'dead letter refused, trying again').length
}

const deadFull: Fault = {
  name: 'JOBS_DEAD full',
  powers: [],
  async strike(stage) {
    const { berths } = stage.fleet
    const before = new Map(berths.map(({ supervisor }) => [supervisor, refusals(supervisor)]))
    await filled(stage, 'JOBS_DEAD', deadFilling, spare, () =>
      eventually('a dead letter is refused', () =>
        berths.some(({ supervisor }) => refusals(supervisor) > (before.get(supervisor) ?? 0)),
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
