import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type Exploration, exploreProtocol } from './explore.ts'
import type { ProtocolOptions } from './model-world.ts'

/** What can be sent to a thread. */
type PlainOptions = Partial<Omit<ProtocolOptions, 'tamper'>> & { readonly withinMs?: number }

/**
 * Explores on a thread of its own: the test runner follows every promise of its own thread, which makes an
 * exploration many times slower.
 */
export function exploreInThread(options: PlainOptions): Promise<Exploration> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(import.meta.filename, { workerData: options })
    thread.once('message', resolve)
    thread.once('error', reject)
  })
}

if (!isMainThread) parentPort!.postMessage(await exploreProtocol(workerData as PlainOptions))
