import type { Power } from '../evidence.ts'
import type { Fault } from '../fault.ts'
import { ackWaitMs } from '../stage.ts'
import { singleBroker } from './broker-faults.ts'
import { lasting } from './lasting.ts'

const revoked: Fault = {
  name: 'credentials revoked and restored',
  powers: ['repeat', 'charge often', 'overlap'],
  async strike(stage) {
    const broker = singleBroker(stage)
    await broker.revoke(true)
    await lasting(ackWaitMs * 0.8)
    await broker.revoke(false)
    return undefined
  },
}

function denied(name: string, subjects: readonly string[], powers: readonly Power[]): Fault {
  return {
    name,
    powers,
    async strike(stage) {
      const broker = singleBroker(stage)
      await broker.deny(subjects)
      await lasting(ackWaitMs * 0.8)
      await broker.deny([])
      return undefined
    },
  }
}

/** What the broker can refuse to supervisors that it knows. */
export const accessFaults: readonly Fault[] = [
  revoked,
  denied('acks not permitted', ['$JS.ACK.>'], ['repeat', 'charge often', 'overlap']),
  denied('pulls not permitted', ['$JS.API.CONSUMER.MSG.NEXT.>'], ['repeat', 'charge often', 'overlap']),
  denied('dead letters not permitted', ['dead.>'], []),
  denied('records not permitted', ['$KV.>', '$JS.API.DIRECT.GET.KV_jobs_attempts.>'], ['charge often']),
]
