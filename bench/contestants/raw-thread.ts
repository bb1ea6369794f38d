/** A thread of `raw-threads.ts`: does the work that `workerData` names, and says of each job that it is done. */
import { parentPort, workerData } from 'node:worker_threads'
import { type WorkPayload, works } from '../measure/work.ts'

const work = works[String(workerData)]!()

parentPort!.on('message', async (jobs: readonly (readonly [reply: string, body: string])[]) => {
  for (const [reply, body] of jobs) {
    await work(JSON.parse(body) as WorkPayload)
    parentPort!.postMessage(reply)
  }
})
