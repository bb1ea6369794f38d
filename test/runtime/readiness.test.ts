import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HandlerFaults, reasonsNotReady } from '#src/runtime/readiness.js'
import type { Logger } from '#src/telemetry/logger.js'

test('a handler that cannot be used is logged once, with what was wrong first, and is a reason from then on', () => {
  const lines: unknown[] = []
  const logger = { error: (fields: unknown) => lines.push(fields) } as unknown as Logger
  const faults = new HandlerFaults(logger)
  const reasons = () =>
    reasonsNotReady({ phase: 'running', connection: undefined, broker: undefined, engine: undefined, faults })
  assert.deepEqual(reasons(), [])
  // The thread that looks at handlers finds it, then each thread that imports it.
  faults.add({ name: 'a', code: 'handler_import_failed', message: 'no run' })
  faults.add({ name: 'a', code: 'handler_import_failed', message: 'no run, again' })
  assert.deepEqual(lines, [{ handler: 'a', err: { code: 'handler_import_failed', message: 'no run' } }])
  assert.deepEqual(reasons(), ['handler a: no run'])
})
