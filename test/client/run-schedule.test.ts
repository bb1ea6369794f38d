import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client, type ClientParts } from '#src/client/client.js'
import { namesFor } from '#src/core/names.js'

test('a schedule runs by hand with the payload of its record, and not without knowing that', async () => {
  let record = {}
  const bodies: string[] = []
  const broker = {
    newest: async () => [{ subject: 'ticks.test.report', text: JSON.stringify(record) }],
    publish: async ({ data, stream }: { data: Uint8Array | string; stream: string }) => {
      bodies.push(Buffer.from(data as string).toString())
      return { stream, sequence: bodies.length, duplicate: false }
    },
  }
  const client = new Client({
    broker: broker as unknown as ClientParts['broker'],
    names: namesFor('test'),
    name: 'test',
    requestMs: 1_000,
    close: async () => {},
  })
  const refused = {
    code: 'invalid_job',
    message: /schedule report does not say .*; enqueue a job of build with/,
  }
  record = { handler: 'build', payload: '{"n":1}' }
  await client.runSchedule('report')
  record = { handler: 'build', payload: null }
  await client.runSchedule('report')
  record = { handler: 'build' }
  await assert.rejects(client.runSchedule('report'), refused)
  assert.deepEqual(bodies, ['{"n":1}', ''])
  assert.deepEqual(
    (await client.ticks()).map(({ handler, payload, payloadKnown }) => [handler, payload, payloadKnown]),
    [['build', undefined, false]],
  )
})
