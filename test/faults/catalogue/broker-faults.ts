import { readFile } from 'node:fs/promises'
import { eventually } from '../../support/eventually.ts'
import type { Power } from '../evidence.ts'
import type { Fault } from '../fault.ts'
import { ackWaitMs, type Stage } from '../stage.ts'
import { SingleBroker } from '../stage-broker.ts'
import { lasting } from './lasting.ts'

/** The stage's one server. */
export function singleBroker(stage: Stage): SingleBroker {
  if (!(stage.broker instanceof SingleBroker)) throw new Error('this fault is for a single server')
  return stage.broker
}

const killed: Fault = {
  name: 'broker killed and started again',
  powers: ['repeat', 'charge often', 'overlap', 'forget'],
  async strike(stage) {
    const broker = singleBroker(stage)
    await broker.kill()
    await broker.server.restart()
    return undefined
  },
}

const away: Fault = {
  name: 'broker away beyond the leases',
  powers: ['repeat', 'charge often', 'overlap', 'forget'],
  async strike(stage) {
    const broker = singleBroker(stage)
    await broker.kill()
    await lasting(ackWaitMs * 1.2)
    await broker.server.restart()
    return undefined
  },
}

/** What a server such as 2.9.10 delivers while it stops, it may deliver again as if for the first time. */
const ofRestart: readonly Power[] = ['repeat', 'charge often', 'overlap', 'forget']

const restarted: Fault = {
  name: 'broker stopped and started again',
  powers: ofRestart,
  async strike(stage) {
    await singleBroker(stage).server.restart()
    return undefined
  },
}

const paused: Fault = {
  name: 'broker paused',
  powers: [],
  async strike(stage) {
    const { server } = singleBroker(stage)
    server.kill('SIGSTOP')
    await lasting(ackWaitMs * 0.3)
    server.kill('SIGCONT')
    return undefined
  },
}

const asleep: Fault = {
  name: 'broker paused beyond the leases',
  powers: ['repeat', 'charge often', 'overlap'],
  async strike(stage) {
    const { server } = singleBroker(stage)
    server.kill('SIGSTOP')
    await lasting(ackWaitMs * 1.3)
    server.kill('SIGCONT')
    return undefined
  },
}

const lameDuck: Fault = {
  name: 'broker in lame duck mode, then restarted',
  powers: ofRestart,
  async strike(stage) {
    const { server } = singleBroker(stage)
    const written = (await readFile(server.logFile, 'utf8')).length
    server.kill('SIGUSR2')
    await eventually('the server says so', async () =>
      /lame duck/i.test((await readFile(server.logFile, 'utf8')).slice(written)),
    )
    await server.restart()
    return undefined
  },
}

/** What can happen to the one server. */
export const brokerFaults: readonly Fault[] = [killed, away, restarted, paused, asleep, lameDuck]
