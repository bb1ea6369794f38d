/** A thread of `burner.ts`: warms up, says so, and does its share when it is told to. */
import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { burn, burnVariable } from '../measure/work.ts'

const rounds = Number(process.env[burnVariable])
for (let n = 0; n < 10; n += 1) burn(rounds)
parentPort!.postMessage('ready')
await once(parentPort!, 'message')
for (let n = 0; n < (workerData as number); n += 1) burn(rounds)
parentPort!.postMessage('done')
