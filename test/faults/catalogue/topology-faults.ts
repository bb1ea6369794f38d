import { eventually } from '../../support/eventually.ts'
import type { Power } from '../evidence.ts'
import type { Fault } from '../fault.ts'
import type { Stage } from '../stage.ts'

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

const full: Fault = {
  name: 'JOBS full',
  powers: [],
  async strike(stage) {
    // Never below what is there: the server would delete the oldest. Messages that no handler takes fill it up.
    const { state } = await stage.view.jsm.streams.info('JOBS')
    await stage.view.jsm.streams.update('JOBS', { max_msgs: state.messages + 100 })
    await eventually('the broker refuses jobs', async () => {
      for (let n = 0; n < 50; n += 1) await stage.view.js.publish('jobs.filling', '{}').catch(() => {})
      return [...stage.load.publications.values()].some((it) => it.state === 'refused')
    })
    await stage.view.jsm.streams.purge('JOBS', { filter: 'jobs.filling' })
    await stage.view.jsm.streams.update('JOBS', { max_msgs: -1 })
    return undefined
  },
}

const deadFull: Fault = {
  name: 'JOBS_DEAD full',
  powers: [],
  async strike(stage) {
    const { state } = await stage.view.jsm.streams.info('JOBS_DEAD')
    await stage.view.jsm.streams.update('JOBS_DEAD', { max_msgs: state.messages + 3 })
    await eventually('a dead letter is refused', () =>
      stage.fleet.berths.some(({ supervisor }) =>
        supervisor.lines.some((line) => line.msg === 'dead letter refused, trying again'),
      ),
    )
    await stage.view.jsm.streams.update('JOBS_DEAD', { max_msgs: -1 })
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
