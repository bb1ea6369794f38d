import path from 'node:path'
import { BenchError } from '../bench-error.ts'
import { cpuMsOf } from '../measure/process-usage.ts'
import type { RunOptions } from '../scenario.ts'
import { checkDrained, collectRecords } from '../stage/account.ts'
import { pace } from '../stage/pace.ts'
import { preload } from '../stage/preload.ts'
import { jobStream, type Stage, setStage } from '../stage/stage.ts'
import { refill } from '../stage/warm-drain.ts'
import { runChild } from './child.ts'
import type { Contestant, Enqueued, Ground, Order, Running } from './contestant.ts'

/** How one contestant of those on NATS differs from another. */
export type OnNats = {
  about?: string
  start(stage: Stage, order: Order): Promise<Running>
  /** Who enqueues for it; a mode of `stage/enqueuer.ts`. @default 'nats.js' */
  enqueuer?: 'raw' | 'raw with ids' | 'raw with ids and replies' | 'nats.js' | 'millrace'
  /** What can be said beyond the server's state and the records of its jobs; throws a `BenchError`. */
  check?(handler: string, jobs: number, running: Running): Promise<void>
  /** Whether its jobs leave records; a loop that does nothing but ack is known from the server's state. @default true */
  isRecorded?(handler: string): boolean
}

/** A contestant on a nats-server with the stream and the consumers that a supervisor would create. */
export function onNats(name: string, { about, enqueuer = 'nats.js', ...kind }: OnNats): Contestant {
  return {
    name,
    ...(about !== undefined && { about }),
    isOwn: enqueuer === 'millrace',
    async open(options: RunOptions, handlers: readonly string[]): Promise<Ground> {
      const stage = await setStage(options, handlers)
      const stored = async () => (await stage.streams.streams.info(jobStream)).state
      return {
        dir: stage.dir,
        serverCpuMs: () => cpuMsOf(stage.broker.pid),
        fill: (handler, jobs, bytes) => preload(stage.connection, `jobs.${handler}`, jobs, bytes),
        refill: (running, handler, first, jobs, bytes) =>
          refill([running], () =>
            preload(stage.connection, `jobs.${handler}`, jobs, bytes, undefined, first),
          ),
        pace: (handler, perSecond, jobs, first) => pace(stage, `jobs.${handler}`, perSecond, jobs, first),
        enqueue: (handler, mode, jobs, bytes) =>
          runChild<Enqueued>(options, {
            script: path.join(import.meta.dirname, '../stage/enqueuer.js'),
            args: [stage.broker.url, enqueuer, mode, handler, String(jobs), String(bytes)],
            isProfiled: true,
          }),
        start: (order) => kind.start(stage, order),
        left: async () => (await stored()).messages,
        async checkStored(_handler, jobs) {
          const { messages, last_seq } = await stored()
          if (messages !== jobs || last_seq !== jobs)
            throw new BenchError(`of ${jobs} jobs ${messages} are stored, and ${last_seq} ever were`)
        },
        async checkDone(handler, jobs, running) {
          await checkDrained(stage, handler, jobs)
          await kind.check?.(handler, jobs, running)
          if (kind.isRecorded?.(handler) !== false) await collectRecords(stage.dir, handler, jobs)
        },
      }
    },
  }
}
