import path from 'node:path'
import { recordsVariable } from '../measure/records.ts'
import { startChild } from './child.ts'
import type { Contestant } from './contestant.ts'

/** The floor: nats.js alone, consuming and acking in one process and one thread. */
export const bare: Contestant = {
  name: 'bare',
  async start(stage, { handler, profileDir }) {
    let isReady: () => void
    const ready = new Promise<void>((resolve) => {
      isReady = resolve
    })
    const child = await startChild({
      script: path.join(import.meta.dirname, 'bare-loop.js'),
      args: [stage.broker.url, handler],
      environment: { [recordsVariable]: stage.dir },
      profileDir,
      onLine: () => isReady(),
    })
    stage.onClear(() => child.stop())
    await Promise.race([ready, child.failure])
    // The state of stream and consumer tells everything about a loop that does nothing but ack.
    return { ...child, readMetrics: undefined }
  },
}
