import { defineHandler, PermanentFailure } from 'millrace'

/** The payload: `npx millrace enqueue greeting '{"name":"Ada"}'`. */
export interface Greeting {
  name: string
}

export default defineHandler({
  // It waits more than it computes, so many run at once on one thread; 'cpu' gives each job a thread.
  pool: 'io',
  deadlineMs: 10_000,
  retry: { maxAttempts: 5 },
  // Whoever enqueued it can wait for what run returns.
  result: true,
  async run({ name }: Greeting, ctx) {
    // Nobody has checked the payload: give a schema (zod, valibot, arktype) for that.
    if (!name) throw new PermanentFailure('nobody to greet')
    ctx.logger.info({ name }, 'greeting')
    return `hello ${name}`
  },
})
