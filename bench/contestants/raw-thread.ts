/** A thread of `raw-threads.ts`: does the work that `workerData` names, and says of each job that it is done. */
import { parentPort, workerData } from 'node:worker_threads'
import { type WorkPayload, works } from '../measure/work.ts'

const work = works[String(workerData)]!()

parentPort!.on('message', (jobs: readonly (readonly [reply: string, body: string])[]) => {
  for (const [reply, body] of jobs) {
    const done = work(JSON.parse(body) as WorkPayload)
    if (done === undefined) parentPort!.postMessage(reply)
    else void done.then(() => parentPort!.postMessage(reply))
  }
})
