/**
 * BullMQ (https://docs.bullmq.io). Completed jobs are removed, as they are from a work queue of ours
 * (https://docs.bullmq.io/guide/queues/auto-removal-of-jobs); adding many is one call
 * (https://docs.bullmq.io/guide/queues/adding-bulks).
 */
import { fileURLToPath } from 'node:url'
import { Queue, Worker } from 'bullmq'

const jobOptions = { removeOnComplete: true, removeOnFail: false }
/** Jobs that fail once are tried again at once (https://docs.bullmq.io/guide/retrying-failing-jobs). */
const attemptsOf = (handler) => (handler === 'flaky' ? 2 : 1)

/** Queues come into being with their first job. */
export async function prepare() {}

export async function openQueue({ url, handler }) {
  const defaultJobOptions = { ...jobOptions, attempts: attemptsOf(handler) }
  const queue = new Queue(handler, { connection: connectionTo(url), defaultJobOptions })
  await queue.waitUntilReady()
  return {
    add: (payload) => queue.add(handler, payload),
    addMany: (payloads) => queue.addBulk(payloads.map((data) => ({ name: handler, data }))),
    close: () => queue.close(),
  }
}

/**
 * In process: https://docs.bullmq.io/guide/workers/concurrency. In threads, which is the only way to end
 * a job that hangs: https://docs.bullmq.io/guide/workers/sandboxed-processors.
 */
export async function take({ url, handler, work, settings, onDone }) {
  const { concurrency, isSandboxed } = settings
  const processor = isSandboxed
    ? fileURLToPath(new URL(`bullmq-thread-${handler}.mjs`, import.meta.url))
    : async ({ data }) => work(data)
  const worker = new Worker(handler, processor, {
    connection: { ...connectionTo(url), maxRetriesPerRequest: null },
    concurrency,
    useWorkerThreads: isSandboxed,
  })
  worker.on('completed', onDone)
  worker.on('error', (error) => process.stderr.write(`${error.stack}\n`))
  worker.on('failed', (job, error) => {
    if (job?.attemptsMade < attemptsOf(handler)) return
    process.stderr.write(`a job failed: ${error.stack}\n`)
  })
  await worker.waitUntilReady()
}

let counting
export async function readState({ url, handler }) {
  counting ??= new Queue(handler, { connection: connectionTo(url) })
  const counts = await counting.getJobCounts('wait', 'active', 'delayed', 'prioritized', 'failed')
  const { failed, ...open } = counts
  return { left: Object.values(open).reduce((sum, count) => sum + count, 0), failed }
}

function connectionTo(url) {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}
