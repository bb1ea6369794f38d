import { eventually } from '../../support/eventually.ts'
import type { Power } from '../evidence.ts'
import type { Fault } from '../fault.ts'
import { lasting } from './lasting.ts'

const killed: Fault = {
  name: 'supervisor killed',
  powers: ['repeat', 'charge'],
  async strike(stage) {
    const berth = stage.someBerth()
    const pids = stage.fleet.pidsOf(berth)
    await stage.fleet.kill(berth)
    return pids
  },
}

const stopped: Fault = {
  name: 'supervisor stopped',
  powers: [],
  async strike(stage) {
    const berth = stage.someBerth()
    const pids = stage.fleet.pidsOf(berth)
    await stage.fleet.stop(berth)
    return pids
  },
}

const hurried: Fault = {
  name: 'supervisor told twice to stop',
  powers: [],
  async strike(stage) {
    const berth = stage.someBerth()
    const pids = stage.fleet.pidsOf(berth)
    await stage.fleet.stop(berth, async (supervisor) => {
      await supervisor.line('draining')
      supervisor.signal('SIGTERM')
    })
    return pids
  },
}

const killedWhileStarting: Fault = {
  name: 'supervisor killed while it starts',
  powers: ['repeat', 'charge'],
  async strike(stage) {
    const berth = stage.someBerth()
    const pids = stage.fleet.pidsOf(berth)
    await stage.fleet.kill(berth)
    await eventually('the next one has begun', () => berth.supervisor.stdout !== '')
    pids.push(...stage.fleet.pidsOf(berth))
    await stage.fleet.kill(berth)
    return pids
  },
}

const asleep: Fault = {
  name: 'supervisor asleep beyond its leases',
  powers: ['repeat', 'charge often', 'overlap'],
  async strike(stage) {
    const berth = stage.someBerth()
    const pids = stage.fleet.pidsOf(berth)
    berth.supervisor.signal('SIGSTOP')
    await lasting(stage.ackWaitMs * 1.4)
    berth.supervisor.signal('SIGCONT')
    return pids
  },
}

/** Where a supervisor can be killed: see `test/fixtures/preload/crash-points.mjs`. */
const points: Record<string, readonly Power[]> = {
  starting: [],
  'before-pulling': [],
  'handler-returned': ['repeat', 'charge'],
  'handler-failed': ['repeat', 'charge'],
  'before-ack': ['repeat', 'charge'],
  'after-ack': ['repeat', 'charge'],
  'record-written': ['repeat', 'charge'],
  'before-nak': ['repeat', 'charge'],
  'after-nak': ['repeat', 'charge'],
  'before-dead-letter': ['repeat', 'charge'],
  'after-dead-letter': ['repeat', 'charge'],
  'job-put-aside': ['repeat', 'charge'],
  'due-job-published': ['repeat', 'charge'],
  'tick-published': ['repeat', 'charge'],
  draining: ['repeat', 'charge'],
  'drain-over': ['repeat', 'charge'],
}

/** Comes once in a life, or seldom. */
const onceOnly = new Set(['draining', 'drain-over', 'due-job-published', 'tick-published'])

/** A supervisor dies at each of these points. */
export const crashFaults: readonly Fault[] = Object.entries(points).map(([point, powers]) => ({
  name: `supervisor dies at ${point}`,
  powers,
  async strike(stage) {
    const berth = stage.someBerth()
    const nth = onceOnly.has(point) || powers.length === 0 ? 1 : stage.random.between(1, 3)
    const pid = await stage.fleet.crashAt(berth, point, nth, async (doomed) => {
      if (!point.startsWith('drain')) return
      await doomed.line('running')
      doomed.signal('SIGTERM')
    })
    return [pid]
  },
}))

/** What an operator, or the system, does to a supervisor process. */
export const supervisorFaults: readonly Fault[] = [killed, stopped, hurried, killedWhileStarting, asleep]
