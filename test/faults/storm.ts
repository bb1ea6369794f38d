import { brokerFaults } from './catalogue/broker-faults.ts'
import { playRound, type RoundReport } from './round.ts'
import { SingleBroker } from './stage-broker.ts'

/** So many supervisors lose their broker at the same instant, and find it again. */
export async function playStorm(supervisors: number, narrate: (line: string) => void): Promise<RoundReport> {
  return playRound({
    seed: 1,
    broker: await SingleBroker.start(),
    lanes: [brokerFaults.slice(0, 1)],
    supervisors,
    env: { MILLRACE_THREADS: '1' },
    perSecond: 30,
    mostOpen: 100,
    narrate,
  })
}
