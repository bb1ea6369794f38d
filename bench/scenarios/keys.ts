import { headers } from '@nats-io/transport-node'
import type { Contestant } from '../contestants/contestant.ts'
import { millrace } from '../contestants/millrace.ts'
import type { Scenario } from '../scenario.ts'
import { runDrain } from './drain.ts'

const keyCount = 10_000

/** The same supervisor twice; what differs is the jobs. */
const unkeyed: Contestant = { ...millrace, name: 'without keys' }
const keyed: Contestant = { ...millrace, name: 'with keys' }

/** What it costs that jobs of a key run one at a time and in order. */
export const keys: Scenario = {
  name: 'keys',
  title: `Drain of no-op jobs with ${keyCount.toLocaleString('en-US')} keys`,
  method:
    'The drain above, by Millrace both times: the floor is jobs without a header, and against it stand jobs of which each has one ' +
    `of ${keyCount.toLocaleString('en-US')} keys in \`Millrace-Key\`, drawn at random.`,
  contestants: [unkeyed, keyed],
  measures: [
    { key: 'jobsPerSecond', label: 'jobs/s', digits: 0, goal: { of: 'floor', atLeast: 0.5 } },
    { key: 'clientCpuUs', label: 'CPU per job, client, µs', digits: 1 },
    { key: 'serverCpuUs', label: 'CPU per job, server, µs', digits: 1 },
  ],
  run: (contestant, order) => runDrain(contestant, order, contestant === keyed ? randomKey : undefined),
}

function randomKey() {
  const own = headers()
  own.set('Millrace-Key', `customer-${Math.floor(Math.random() * keyCount)}`)
  return own
}
