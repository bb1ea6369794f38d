import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineHandler, type HandlerContext, type StandardSchema } from 'millrace'
import type { Client, createClient, JobOutcome, JobToEnqueue } from '#src/client/index.js'

/** As the types of a schema library are: what it takes and what it gives differ. */
type Schema<Input, Output> = StandardSchema<Output, Input> & { readonly name: string }

const invoiceSchema = {
  name: 'invoice',
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ({ value: { invoice: 7, due: new Date(String(value)) } }),
  },
} as Schema<{ invoice: number; due: string }, { invoice: number; due: Date }>

function handlerFiles() {
  const send = defineHandler({ run: (job: { to: string }, ctx) => ({ sentTo: job.to, at: ctx.job.attempt }) })
  const remind = defineHandler({
    schema: invoiceSchema,
    async run({ due }) {
      return due.getTime()
    },
  })
  const plain = { schema: invoiceSchema, run: (job: { due: Date }) => job.due, result: true }
  const warm = async (_payload: undefined, _ctx: HandlerContext) => 'warm' as const
  const some = (payload?: { rows: number }) => payload?.rows
  const any = () => {}
  return {
    send: { default: send },
    remind: { default: remind, VERSION: 1 },
    plain,
    warm: { default: warm },
    some,
    any,
  }
}

type Files = ReturnType<typeof handlerFiles>
interface Handlers {
  'email.send': Files['send']
  'invoice.remind': Files['remind']
  'invoice.plain': Files['plain']
  'cache.warm': Files['warm']
  'report.rollup': Files['some']
  ping: Files['any']
  'by.signature': (payload: { to: string }) => Promise<number>
  'image.thumbnail': typeof import('#src/handlers/image/thumbnail.js')
}

type Same<One, Other> =
  (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false
const holds = <_ extends true>(): void => {}

/** Compiled and never run. */
export async function typed(client: Client<Handlers>): Promise<void> {
  await client.enqueue('email.send', { to: 'a@b.c' }, { id: '7' })
  await client.enqueue('invoice.remind', { invoice: 7, due: '2026-01-31' })
  await client.enqueue('invoice.plain', { invoice: 7, due: '2026-01-31' })
  await client.enqueue('cache.warm')
  await client.enqueue('cache.warm', undefined, { delayMs: 5 })
  await client.enqueue('report.rollup')
  await client.enqueue('report.rollup', { rows: 7 })
  await client.enqueue('ping', 'anything')
  await client.enqueue('image.thumbnail', { source: 'a.png', output: 'b.png', width: 7 })
  // @ts-expect-error what a real schema asks for is missing
  await client.enqueue('image.thumbnail', { source: 'a.png', output: 'b.png' })
  await client.enqueue('by.signature', { to: 'a@b.c' })
  // @ts-expect-error a signature alone is enough to be checked
  await client.enqueue('by.signature', { to: 7 })
  // @ts-expect-error there is no such handler
  await client.enqueue('email.sent', { to: 'a@b.c' })
  // @ts-expect-error its payload is an object
  await client.enqueue('email.send', 'a@b.c')
  // @ts-expect-error it cannot do without a payload
  await client.enqueue('email.send')
  // @ts-expect-error the payload is what the schema takes, not what it makes of it
  await client.enqueue('invoice.remind', { invoice: 7, due: new Date() })
  // @ts-expect-error the same for a definition that is a plain object
  await client.enqueue('invoice.plain', { invoice: 7, due: new Date() })
  // @ts-expect-error it takes no payload
  await client.enqueue('cache.warm', 7)
  // @ts-expect-error options stay checked
  await client.enqueue('cache.warm', undefined, { delay: 5 })

  await client.enqueueMany([{ payload: { to: 'a' } }, { handler: 'cache.warm' }], { handler: 'email.send' })
  await client.enqueueMany([{ handler: 'email.send', payload: { to: 'a' } }, { handler: 'cache.warm' }])
  // @ts-expect-error no handler for all, and none of its own
  await client.enqueueMany([{ payload: { to: 'a' } }])
  // @ts-expect-error a payload of another handler
  await client.enqueueMany([{ payload: { rows: 7 } }], { handler: 'email.send' })
  // @ts-expect-error the payload of the handler that it names counts
  await client.enqueueMany([{ handler: 'email.send', payload: { rows: 7 } }])
  // @ts-expect-error there is no such handler
  await client.enqueueMany([], { handler: 'email.sent' })

  const sent = await client.waitFor('7', { handler: 'email.send', timeoutMs: 5 })
  holds<Same<typeof sent, JobOutcome<{ sentTo: string; at: number }>>>()
  const reminded = await client.waitFor('7', { handler: 'invoice.remind' })
  holds<Same<typeof reminded, JobOutcome<number>>>()
  const warmed = await client.waitFor('7', { handler: 'cache.warm' })
  holds<Same<typeof warmed, JobOutcome<'warm'>>>()
  const unknown = await client.waitFor('7')
  holds<Same<typeof unknown, JobOutcome<unknown>>>()
  await client.pause('email.send')
  // @ts-expect-error there is no such handler
  await client.resume('email.sent')
}

/** Compiled and never run. */
export async function untyped(create: typeof createClient, jobs: JobToEnqueue[]): Promise<void> {
  const client = await create()
  holds<Same<typeof client, Client>>()
  await client.enqueue('whatever')
  await client.enqueue('whatever', { to: 7 }, { id: '7' })
  const name: string = 'e'
  await client.enqueue(name, jobs)
  await client.enqueueMany(jobs)
  await client.enqueueMany(jobs, { handler: 'a' })
  await client.enqueueMany(new Set([{ handler: name }]), { stopOnError: true })
  const outcome = await client.waitFor<{ rows: number }>('7', { handler: 'report.rollup' })
  holds<Same<typeof outcome, JobOutcome<{ rows: number }>>>()
  await client.waitFor('7', { handler: name })
  // @ts-expect-error a name is text
  await client.enqueue(7)
  const other = await create<Handlers>({ namespace: 'other' })
  holds<Same<typeof other, Client<Handlers>>>()
  const { send, remind } = handlerFiles()
  const inferred = await create({ handlers: { 'email.send': send, 'invoice.remind': remind } })
  await inferred.enqueue('email.send', { to: 'a@b.c' })
  // @ts-expect-error handlers that are at hand are types, too
  await inferred.enqueue('email.send', { to: 7 })
  // @ts-expect-error and the only ones
  await inferred.enqueue('email.sent', { to: 'a' })
  await create<Handlers>({ handlers: { 'email.send': send } })
}

test('the types of handlers reach whoever enqueues, as the compiler has checked', () => {
  assert.deepEqual(Object.keys(handlerFiles()).length, 6)
})
