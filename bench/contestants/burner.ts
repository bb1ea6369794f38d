/**
 * Threads that compute and do nothing else: `node burner.js <threads> <jobs>`. Prints how many jobs a second
 * that would be. The clock starts when all threads run, and stops when the last has done its share.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const [threads, jobs] = process.argv.slice(2).map(Number) as [number, number]
const share = Math.ceil(jobs / threads)
const workers = Array.from(
  { length: threads },
  () => new Worker(new URL('burner-thread.js', import.meta.url), { workerData: share }),
)
await Promise.all(workers.map((worker) => once(worker, 'message')))
const began = performance.now()
await Promise.all(
  workers.map((worker) => {
    worker.postMessage('go')
    return once(worker, 'message')
  }),
)
const elapsedMs = performance.now() - began
process.stdout.write(`${JSON.stringify({ jobsPerSecond: (share * threads) / (elapsedMs / 1_000) })}\n`, () =>
  process.exit(0),
)
