import { threadId } from 'node:worker_threads'
import { importHandlers } from './handler-import.ts'
import type { LaneTask } from './lane-protocol.ts'
import { installProbe } from './probe.ts'
import { ThreadLane } from './thread-lane.ts'
import { captureOutput } from './thread-output.ts'

/**
 * The one long task that Piscina runs on each thread: import the handlers, then be the lane's actor
 * until the thread is told to end. Nothing of a user's is imported at the top level of this file,
 * because a thread that fails while loading it would leave the pool empty for good.
 */
export default async function runThread(task: LaneTask): Promise<void> {
  const lane = new ThreadLane(task)
  captureOutput(() => lane.currentJob()?.logFields())
  installProbe(() => lane.currentJob())
  lane.guard()
  const { handlers, faults } = await importHandlers(task.handlers)
  const { traces } = lane.serve(handlers)
  task.port.postMessage({ kind: 'ready', threadId, faults, traces })
  await lane.closed
}
