/**
 * Takes jobs without a client and has threads do their work: `node raw-threads.js <url> <handler> <threads> <jobs of each
 * thread>`. Prints a line when it is up. No thread waits for a job, and the ack of one that is done leaves at once; there
 * is nothing else.
 */
import { Worker } from 'node:worker_threads'
import { RawJobs } from './raw-jobs.ts'

const [url, handler, threadCount, jobsPerThread] = process.argv.slice(2)

type Thread = { readonly worker: Worker; outstanding: number; arrived: [reply: string, body: string][] }

process.once('SIGTERM', () => process.exit(0))
const threads = Array.from({ length: Number(threadCount) }, (): Thread => {
  const worker = new Worker(new URL('raw-thread.js', import.meta.url), { workerData: handler })
  return { worker, outstanding: 0, arrived: [] }
})
const room = Number(jobsPerThread) * threads.length
let outstanding = 0
let asked = 0
for (const thread of threads) {
  thread.worker.on('message', (reply: string) => {
    thread.outstanding -= 1
    outstanding -= 1
    jobs.ack(reply)
    const missing = room - outstanding - asked
    if (missing >= room >> 2) ask(missing)
    jobs.flush()
  })
}
const jobs = new RawJobs(url!, handler!, {
  ready() {
    process.stdout.write('ready\n')
    ask(room)
  },
  job(reply, chunk, from, to) {
    asked -= 1
    outstanding += 1
    const thread = threads.reduce((least, each) => (each.outstanding < least.outstanding ? each : least))
    thread.outstanding += 1
    if (thread.arrived.length === 0) setImmediate(post, thread)
    thread.arrived.push([reply, chunk.toString('utf8', from, to)])
  },
})

function ask(count: number): void {
  asked += count
  jobs.pull(count)
}

function post(thread: Thread): void {
  thread.worker.postMessage(thread.arrived)
  thread.arrived = []
}
