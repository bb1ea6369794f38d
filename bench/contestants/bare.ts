import path from 'node:path'
import { startKeptProcess } from '#src/broker/kept-process.js'
import { BenchError } from '../bench-error.ts'
import type { Contestant } from './contestant.ts'

/** The floor: nats.js alone, consuming and acking in one process, with no thread and no promise kept. */
export const bare: Contestant = {
  name: 'bare',
  async start(stage, { handler, profileDir }) {
    const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]
    const child = await startKeptProcess({
      binary: process.execPath,
      args: [
        ...profile,
        path.join(import.meta.dirname, 'bare-loop.js'),
        stage.broker.url,
        handler,
        stage.dir,
      ],
    })
    let tail = ''
    child.output!.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-2_000)
    })
    let stopping = false
    const failure = child.ended.then<never>(() => {
      if (stopping) return new Promise<never>(() => {})
      throw new BenchError(`the bare loop ended by itself: ${tail}`)
    })
    failure.catch(() => {})
    return {
      pid: child.pid,
      failure,
      // The stream and its consumer tell everything about a loop that does nothing but ack.
      account: async () => {},
      stop() {
        stopping = true
        return child.stop()
      },
    }
  },
}
