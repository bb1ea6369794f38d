import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hasSoundSchedules } from '#src/nats/delayed-topology.js'

test('schedules are asked for where they are known to work', () => {
  const sound = (text: string): boolean => {
    const [major = 0, minor = 0, patch = 0] = text.split('.').map(Number)
    return hasSoundSchedules({ major, minor, patch })
  }
  for (const version of ['2.9.10', '2.10.27', '2.11.11', '2.12.9', '2.13.0', '2.14.1', '1.99.0', '0.0.0'])
    assert.ok(!sound(version), version)
  for (const version of ['2.12.10', '2.14.2', '2.15.0', '2.15.1', '3.0.0']) assert.ok(sound(version), version)
})
