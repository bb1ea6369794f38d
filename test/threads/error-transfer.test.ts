import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { PermanentFailure, RetryLater, Snooze } from '#src/core/errors.js'
import type { Outcome } from '#src/core/outcome.js'
import { describeThrown, outcomeOfThrown } from '#src/threads/error-transfer.js'

/** What arrives at the other end of a port; throws when it cannot be cloned. */
function sent<T>(value: T): T {
  const { port1, port2 } = new MessageChannel()
  port1.postMessage(value)
  const received = receiveMessageOnPort(port2)!.message as T
  port1.close()
  port2.close()
  return received
}

function failed(thrown: unknown) {
  const outcome = sent(outcomeOfThrown(thrown))
  assert.ok(outcome.kind === 'failed')
  return outcome
}

test('an error keeps its message, its stack and a code of its own', () => {
  const { error } = failed(Object.assign(new Error('no luck'), { code: 'ECONNREFUSED', payload: 'x' }))
  assert.equal(error.code, 'ECONNREFUSED')
  assert.equal(error.message, 'no luck')
  assert.match(error.stack!, /^Error: no luck\n +at /)
  assert.deepEqual(Object.keys(error).sort(), ['code', 'frames', 'message', 'stack'])
})

test('the frames of a stack are those of who made the error, from the working directory', () => {
  function chargeTheCard(): never {
    throw new PermanentFailure('no such card')
  }
  const error = (() => {
    try {
      return chargeTheCard()
    } catch (thrown) {
      return failed(thrown).error
    }
  })()
  assert.match(
    error.frames![0]!,
    /^chargeTheCard \((build\/)?test\/threads\/error-transfer\.test\.[jt]s:\d+:\d+\)$/,
  )
  const ours = import.meta.resolve('#src/threads/run-handler.js')
  const stack = `Error: x\n    at run (/app/a.js:1:2)\n    at async file:///app/b.js:3:4\n    at runHandler (${ours}:5:6)\n    at with (/app/sdk.js:7:8)`
  const made = failed(Object.assign(new Error('x'), { stack })).error
  assert.deepEqual(made.frames, ['run (/app/a.js:1:2)', 'async /app/b.js:3:4'])
  for (const none of ['', 'x', 'Error: x\n    at node:internal/timers:1:2'])
    assert.equal(failed(Object.assign(new Error('x'), { stack: none })).error.frames, undefined)
})

test('an error without a usable code is a handler error', () => {
  for (const code of [undefined, 5, '', 'with space', 'x'.repeat(65), 'a\r\nb', null]) {
    assert.equal(failed(Object.assign(new Error('x'), { code })).error.code, 'handler_error', String(code))
  }
})

test('an error without a message is named', () => {
  assert.equal(failed(new TypeError()).error.message, 'TypeError')
  assert.equal(failed({ message: '' }).error.message, 'Error')
})

test('a message is safe as a header and at most 1024 characters', () => {
  const { error } = failed(new Error(`a\r\nNats-Rollup: all\0${'x'.repeat(5_000)}`))
  assert.ok(error.message.startsWith('a Nats-Rollup: all xxx'))
  assert.equal(error.message.length, 1_024)
})

test('a very long stack is cut', () => {
  const thrown = new Error('x')
  thrown.stack = 'y'.repeat(100_000)
  assert.equal(failed(thrown).error.stack!.length, 4_096)
})

test('what is thrown without being an error is named, and never quoted at length', () => {
  const cases: [unknown, string][] = [
    [null, 'null'],
    [undefined, 'undefined'],
    ['no luck', '"no luck"'],
    [42, '42'],
    [false, 'false'],
    [10n, 'a value of type bigint'],
    [Symbol('s'), 'a value of type symbol'],
    [() => 1, 'a value of type function'],
    [{ secret: 1 }, 'a value of type object'],
    [{ message: 5 }, 'a value of type object'],
  ]
  for (const [thrown, named] of cases) {
    const { error } = failed(thrown)
    assert.equal(error.code, 'non_error_thrown')
    assert.equal(error.message, `a handler must throw an Error, it threw ${named}`)
  }
  assert.ok(failed('x'.repeat(10_000)).error.message.length < 300)
})

test('the steering errors steer, by their code and not by their class', () => {
  const outcomes = (thrown: unknown): Outcome => sent(outcomeOfThrown(thrown))
  const steer = (thrown: unknown) => {
    const outcome = outcomes(thrown)
    return outcome.kind === 'failed' ? outcome.steer : outcome
  }
  assert.deepEqual(steer(new PermanentFailure('never')), { kind: 'permanent' })
  assert.deepEqual(steer(Object.assign(new Error('x'), { code: 'permanent_failure' })), { kind: 'permanent' })
  assert.deepEqual(steer(new RetryLater({ delayMs: 50 })), { kind: 'retry_later', delayMs: 50 })
  assert.deepEqual(steer({ code: 'retry_later', delayMs: 0, message: 'x' }), {
    kind: 'retry_later',
    delayMs: 0,
  })
  assert.deepEqual(outcomes(new Snooze({ delayMs: 50 })), { kind: 'snoozed', delayMs: 50 })
})

test('a steering error whose delay is no delay is an ordinary failure, or a snooze without one', () => {
  for (const delayMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, '50', undefined, null]) {
    assert.equal(failed(Object.assign(new Error('x'), { code: 'retry_later', delayMs })).steer, undefined)
    assert.deepEqual(outcomeOfThrown({ code: 'snooze', delayMs }), { kind: 'snoozed', delayMs: 0 })
  }
})

test('hostile objects are described without throwing', () => {
  const thrower = () => {
    throw new Error('hostile')
  }
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const hostile: unknown[] = [
    revoked.proxy,
    new Proxy({}, { get: thrower, has: thrower, ownKeys: thrower, getPrototypeOf: thrower }),
    new Proxy(new Error('x'), { get: thrower }),
    Object.defineProperty(new Error('x'), 'message', { get: thrower }),
    Object.defineProperty(new Error('x'), 'stack', { get: thrower }),
    Object.defineProperty(new Error('x'), 'code', { get: thrower }),
    Object.defineProperty({ code: 'retry_later', message: 'x' }, 'delayMs', { get: thrower }),
    Object.create(null),
    Object.assign(Object.create(null), { message: 'bare' }),
    { message: 'x', stack: 5, name: {}, code: { toString: thrower } },
    { message: 'x', toString: thrower, [Symbol.toPrimitive]: thrower, toJSON: thrower },
  ]
  for (const thrown of hostile) failed(thrown)
  let reads = 0
  const changing = {
    get message() {
      reads += 1
      return reads === 1 ? 'first' : Symbol('second')
    },
  }
  failed(changing)
})

test('whatever is thrown becomes an outcome that can cross the thread boundary', () => {
  fc.assert(
    fc.property(fc.anything({ withProxy: true } as never), (thrown) => {
      const outcome = sent(outcomeOfThrown(thrown))
      assert.ok(outcome.kind === 'failed' || outcome.kind === 'snoozed')
      if (outcome.kind === 'failed') assert.doesNotMatch(outcome.error.message, /\p{Cc}/u)
    }),
  )
})

test("a code that is given wins over the error's own", () => {
  assert.equal(
    describeThrown(Object.assign(new Error('x'), { code: 'E' }), 'uncaught_exception').code,
    'uncaught_exception',
  )
  assert.equal(describeThrown(null, 'unhandled_rejection').code, 'unhandled_rejection')
})

test('what a thread makes of an error of another realm and of its own fields arrives here', async () => {
  const module = new URL('../../../dist/threads/error-transfer.js', import.meta.url).href
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     const vm = require('node:vm')
     import(${JSON.stringify(module)}).then(({ outcomeOfThrown }) => {
       const foreign = vm.runInNewContext("Object.assign(new RangeError('far'), { code: 'permanent_failure', fn() {} })")
       parentPort.postMessage(outcomeOfThrown(foreign))
     })`,
    { eval: true },
  )
  const outcome = await new Promise<Outcome>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  await worker.terminate()
  assert.ok(outcome.kind === 'failed')
  assert.deepEqual([outcome.error.message, outcome.steer], ['far', { kind: 'permanent' }])
})
