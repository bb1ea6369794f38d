import { describe, test } from 'node:test'
import { brokerRules } from './broker-rules.ts'
import { memoryRuledBroker, serverRuledBroker } from './ruled-brokers.ts'

const rules = Object.entries(brokerRules)

describe('the memory broker', () => {
  for (const [rule, holds] of rules) test(rule, () => holds(memoryRuledBroker()))
})

// Most of the time of each goes by while a lease runs out, so they go side by side.
describe('a nats-server', { concurrency: 6 }, () => {
  for (const [rule, holds] of rules) test(rule, async (t) => holds(await serverRuledBroker(t)))
})
