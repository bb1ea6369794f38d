import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { trace } from '@opentelemetry/api'
import { createClient } from '#src/client/index.js'
import { eventually } from '../support/eventually.ts'
import { projectRoot } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

interface SpanLine {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentId?: string
  readonly links: string[]
  readonly attributes: Record<string, unknown>
  readonly status: { code: number; message?: string }
  readonly ms: number
  readonly isMainThread: boolean
}

const preload = pathToFileURL(join(projectRoot, 'test/fixtures/preload/tracing.mjs')).href
const kinds = { client: 2, producer: 3, consumer: 4 }
const failed = 2

test('a trace goes from whoever enqueues through every attempt, its own spans and its replay', async (t) => {
  const world = await World.create(t, {
    env: {
      MILLRACE_HANDLERS: join(projectRoot, 'build/test/fixtures/handlers/traced'),
      MILLRACE_DEADLINE_MS: '1500',
      MILLRACE_GRACE_MS: '250',
      MILLRACE_MAX_ATTEMPTS: '2',
      NODE_OPTIONS: `--import ${preload}`,
    },
  })
  const file = join(world.folder, 'spans.jsonl')
  process.env['E2E_SPANS'] = file
  const supervisor = await world.supervise({ E2E_SPANS: file })
  const client = await createClient({ environment: {}, servers: world.server.url })
  t.after(() => client.close())
  const spans = (): SpanLine[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as SpanLine)
  const ofJob = (id: string, name: string) =>
    spans().filter(
      (span) => span.attributes['messaging.message.id'] === id && span.name === `${name} jobs.job`,
    )
  const settled = (id: string, name: string, count = 1) =>
    eventually(`${id} has ${name}`, () => ofJob(id, name).length >= count)

  await t.test('without an SDK in the process that enqueues, an attempt begins a trace', async () => {
    const { id } = await client.enqueue('job', { do: ['return'] }, { id: 'alone' })
    await settled(id, 'ack')
    const [attempt, ...others] = ofJob(id, 'process')
    assert.deepEqual([attempt?.parentId, attempt?.links, others.length], [undefined, [], 0])
    assert.deepEqual(ofJob(id, 'publish'), [])
  })

  await import(preload)
  const tracer = trace.getTracer('application')

  await t.test('publish, attempts and settlements are in the trace of who enqueues', async () => {
    await tracer.startActiveSpan('request', async (span) => {
      await client.enqueue('job', { do: ['throw', 'return'] }, { id: 'retried' })
      span.end()
    })
    await settled('retried', 'ack')
    const request = spans().find(({ name }) => name === 'request')!
    const [publish] = ofJob('retried', 'publish')
    assert.deepEqual([publish?.parentId, publish?.kind], [request.spanId, kinds.producer])
    assert.equal(publish?.attributes['messaging.message.body.size'], '{"do":["throw","return"]}'.length)
    const attempts = ofJob('retried', 'process')
    assert.deepEqual(
      attempts.map(({ parentId, kind, isMainThread, status, attributes }) => [
        parentId,
        kind,
        isMainThread,
        status.code,
        attributes['millrace.attempt'],
        attributes['error.type'],
      ]),
      [
        [publish!.spanId, kinds.consumer, false, failed, 1, 'handler_error'],
        [publish!.spanId, kinds.consumer, false, 0, 2, undefined],
      ],
    )
    for (const name of ['nak', 'ack']) {
      const [settlement, ...others] = ofJob('retried', name)
      assert.deepEqual(
        [settlement?.parentId, settlement?.kind, others.length],
        [publish!.spanId, kinds.client, 0],
      )
    }
    assert.equal(ofJob('retried', 'nak')[0]?.isMainThread, true)
    const queries = spans().filter(({ name, traceId }) => name === 'query' && traceId === request.traceId)
    assert.deepEqual(
      queries.map(({ parentId }) => parentId),
      attempts.map(({ spanId }) => spanId),
    )
    const line = await supervisor.line(
      ({ msg, trace_id }) => msg === 'did something' && trace_id === request.traceId,
    )
    assert.equal(line['span_id'], attempts[0]?.spanId)
  })

  await t.test(
    'an attempt that is killed has a span, and a replay a trace of its own with a link',
    async () => {
      await client.enqueue('job', { do: ['loop', 'throw', 'throw'] }, { id: 'killed' })
      await settled('killed', 'dead_letter')
      const [publish] = ofJob('killed', 'publish')
      const attempts = () => ofJob('killed', 'process')
      const [first, second] = attempts()
      assert.deepEqual(
        [first?.parentId, second?.parentId, attempts().length],
        [publish!.spanId, publish!.spanId, 2],
      )
      assert.deepEqual([first?.isMainThread, first?.status.code], [true, failed])
      assert.equal(first?.attributes['error.type'], 'timed_out')
      // The thread has 250 ms to answer, which a busy machine may not give it; then its dead letter does not know, either.
      const { history } = await world.broker.deadLetter('killed')
      if ((history[0]?.['where'] as { kind?: string } | undefined)?.kind === 'running') {
        assert.match(
          String(first?.attributes['millrace.where']),
          /^in job \(test\/fixtures\/handlers\/traced\/job\.ts:/,
        )
      }
      assert.ok(first!.ms >= 1_700, `${first!.ms}`)

      assert.equal((await client.deadLetters.replay({ which: ['killed'] })).done, 1)
      await settled('killed', 'process', 3)
      const replayed = attempts()[2]!
      assert.deepEqual([replayed.parentId, replayed.links], [undefined, [publish!.spanId]])
      assert.notEqual(replayed.traceId, publish!.traceId)
      assert.equal(replayed.attributes['millrace.replays'], '1')
      // Its first attempt is killed: of that one the supervisor makes the span.
      await settled('killed', 'nak', 2)
      const nak = ofJob('killed', 'nak')[1]!
      assert.deepEqual([nak.traceId, nak.parentId], [replayed.traceId, replayed.spanId])
      await settled('killed', 'dead_letter', 2)
      const [last, end] = [attempts()[3]!, ofJob('killed', 'dead_letter')[1]!]
      assert.equal(last.isMainThread, false)
      assert.deepEqual([end.traceId, end.parentId], [last.traceId, last.spanId])
    },
  )

  await t.test('an attempt has one span, which says what the supervisor was told in the end', async () => {
    await client.enqueue('job', { do: ['float', 'return'] }, { id: 'floating' })
    await client.enqueue('job', { do: ['exit', 'return'] }, { id: 'exiting' })
    for (const id of ['floating', 'exiting']) await settled(id, 'ack')
    const outcomes = (id: string) =>
      ofJob(id, 'process').map(({ attributes, isMainThread }) => [
        attributes['millrace.outcome'],
        attributes['error.type'],
        isMainThread,
      ])
    assert.deepEqual(outcomes('floating'), [
      ['failed', 'unhandled_rejection', false],
      ['completed', undefined, false],
    ])
    assert.deepEqual(outcomes('exiting'), [
      ['crashed', 'crashed', true],
      ['completed', undefined, false],
    ])
  })

  await t.test('an SDK that throws at the end of a span changes nothing for the job', async () => {
    await client.enqueue('job', { do: ['throw', 'return'] }, { id: 'troubled' })
    await settled('troubled', 'ack')
  })

  await t.test(
    'many jobs share the span of their call, but one with a context of its own keeps it',
    async () => {
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
      const jobs = [
        { payload: { do: ['return'] }, id: 'many-1' },
        { payload: { do: ['return'] }, id: 'many-2', headers: { traceparent } },
      ]
      await client.enqueueMany(jobs, { handler: 'job' })
      await client.enqueue('job', { do: ['return'] }, { id: 'own', headers: { traceparent } })
      for (const id of ['many-1', 'many-2', 'own']) await settled(id, 'ack')
      const call = spans()
        .filter(({ name }) => name === 'publish jobs.job')
        .at(-1)!
      assert.equal(call.attributes['messaging.message.id'], undefined)
      assert.equal(ofJob('many-1', 'process')[0]?.parentId, call.spanId)
      for (const id of ['many-2', 'own']) {
        assert.equal(ofJob(id, 'process')[0]?.parentId, 'b7ad6b7169203331')
        assert.deepEqual(ofJob(id, 'publish'), [])
      }
    },
  )
})
