import assert from 'node:assert/strict'
import { test } from 'node:test'
import { context, propagation, ROOT_CONTEXT, type Span, type SpanContext, trace } from '@opentelemetry/api'
import { AttemptSpans } from '#src/tracing/attempt-span.js'
import { withPublishSpan } from '#src/tracing/publish-span.js'

const facts = {
  jobId: 'order-7',
  handler: 'email.send',
  subject: 'jobs.email.send',
  attempt: 1,
  stream: 'JOBS',
  sequence: 42,
  headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  worker: 'abc/1',
}
const failure = { outcome: 'failed', error: { code: 'handler_error', message: 'no', stack: 'Error: no' } }

const trouble = (_?: unknown): never => {
  throw new Error('the SDK is broken')
}

/** A span each of whose methods throws. */
const brokenSpan = {
  spanContext: trouble as () => SpanContext,
  setAttribute: trouble,
  setStatus: trouble,
  recordException: trouble,
  end: trouble,
} as unknown as Span

let startSpan: () => Span = trouble
trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan: () => startSpan() }) as never })
let extracts = false
let carries: Record<string, string> | undefined
propagation.setGlobalPropagator({
  inject: (_context, carrier) => Object.assign(carrier as object, carries ?? trouble()),
  extract: (context) => (extracts ? context : trouble()),
  fields: () => [],
})

test('an SDK that can start no span, or whose propagator throws, costs the spans and nothing else', async () => {
  const spans = AttemptSpans.create()!
  assert.equal(spans.begin(facts, 1_000), undefined)
  spans.ended(facts, failure, 1_000, 2_000)
  spans.settled(facts, 'nak', 2_000, 2_001)
  const stored = await withPublishSpan({ destination: 'jobs.email.send' }, async (headers) => headers)
  assert.deepEqual(stored, [])
})

test('spans that throw at every call change neither an attempt nor what publishing answers', async () => {
  startSpan = () => brokenSpan
  extracts = true
  const spans = AttemptSpans.create()!
  const span = spans.begin(facts, 1_000)!
  assert.equal(span.ids, undefined)
  assert.equal(
    span.run(() => 'returned'),
    'returned',
  )
  span.end(failure, 10)
  spans.ended(facts, failure, 1_000, 2_000)
  spans.settled(facts, 'dead_letter', 2_000, 2_001)

  const publishing = { destination: 'jobs.email.send', jobId: 'order-7' }
  assert.equal(await withPublishSpan(publishing, async () => 'stored'), 'stored')
  const refused = new Error('refused')
  await assert.rejects(
    withPublishSpan(publishing, () => Promise.reject(refused)),
    refused,
  )
})

test('a context manager that throws has the handler run once, and the job published once', async () => {
  startSpan = () => brokenSpan
  extracts = true
  const span = AttemptSpans.create()!.begin(facts, 1_000)!
  for (const manager of [
    { active: trouble, with: trouble },
    { active: () => ROOT_CONTEXT, with: trouble },
    { active: () => ROOT_CONTEXT, with: (_: unknown, work: () => unknown) => trouble(void work()) },
  ]) {
    context.disable()
    context.setGlobalContextManager({ ...manager, disable: () => {} } as never)
    const calls: string[] = []
    assert.equal(
      span.run(() => calls.push('ran')),
      1,
    )
    assert.throws(() => span.run(() => assert.fail('thrown by the handler')), /thrown by the handler/)
    const stored = await withPublishSpan({ destination: 'jobs.a' }, async () => calls.push('published'))
    assert.equal(stored, 2)
  }
  context.disable()
})

test('what a propagator writes travels only as far as a caller might have given it', async () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  carries = {
    traceparent,
    baggage: 'a=b\r\nMillrace-Key: forged',
    'Millrace-Deadline-Ms': '10',
    'Nats-Msg-Id': 'other',
    'x trace': '1',
  }
  const headers = await withPublishSpan({ destination: 'jobs.email.send' }, async (given) => given)
  assert.deepEqual(headers, [['traceparent', traceparent]])
})
