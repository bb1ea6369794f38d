/**
 * Takes and acks jobs without a client: `node raw-loop.js <url> <handler>`. Prints a line when it is up. Two pulls are
 * under way, so that the next is there when one is used up.
 */
import { RawJobs } from './raw-jobs.ts'

const [url, handler] = process.argv.slice(2)
const pullSize = 500

process.once('SIGTERM', () => process.exit(0))
let taken = 0
const jobs = new RawJobs(url!, handler!, {
  ready() {
    process.stdout.write('ready\n')
    jobs.pull(pullSize)
    jobs.pull(pullSize)
  },
  job(reply) {
    jobs.ack(reply)
    taken += 1
    if (taken % pullSize === 0) jobs.pull(pullSize)
  },
})
