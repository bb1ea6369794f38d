import path from 'node:path'
import { BenchError } from '../bench-error.ts'
import { recordsVariable } from '../measure/records.ts'
import type { RunOptions } from '../scenario.ts'
import type { RunningServer, StartServer } from '../servers/server.ts'
import { collectRecords } from '../stage/account.ts'
import { type Child, runChild, startChild } from './child.ts'
import type { Contestant, Enqueued, Ground, Order, Running } from './contestant.ts'

/** Where other job systems are installed, and the programs that run them. */
export const peersDir = path.resolve(import.meta.dirname, '../../../bench/peers')

const script = path.join(peersDir, 'main.mjs')

/** One way to run another job system. */
export type Peer = {
  readonly name: string
  readonly about: string
  /** A file of `bench/peers`. */
  readonly system: 'bullmq' | 'graphile-worker' | 'pg-boss'
  /** Looked up at each run, because servers are found after the scenarios are made; undefined when there is none. */
  readonly server: () => StartServer | undefined
  /** What its file does with it. `concurrency` is replaced when a load asks for another. */
  readonly settings: Readonly<Record<string, number | boolean>>
  readonly share?: number
  readonly leastJobs?: number
  /** That take jobs at the same time. @default 1 */
  readonly processes?: number
}

/** Another job system, on a server of its own, as a contestant. */
export function peerContestant(peer: Peer): Contestant {
  return {
    name: peer.name,
    about: peer.about,
    isAvailable: () => peer.server() !== undefined,
    share: peer.share ?? 1,
    leastJobs: peer.leastJobs ?? 0,
    async open(options, handlers) {
      const server = await peer.server()!(options)
      const ground = new PeerGround(peer, server, options)
      await ground.call('prepare', { handlers })
      return ground
    },
  }
}

class PeerGround implements Ground {
  readonly dir: string
  readonly #peer: Peer
  readonly #server: RunningServer
  readonly #options: RunOptions
  #put = 0
  #runs = 1
  /** By process, as each counts itself. */
  #done: number[] = []

  constructor(peer: Peer, server: RunningServer, options: RunOptions) {
    this.dir = server.dir
    this.#peer = peer
    this.#server = server
    this.#options = options
  }

  /** Runs a role of `bench/peers/main.mjs` to its end. */
  call<Answer>(role: string, order: Record<string, unknown>): Promise<Answer> {
    return runChild<Answer>(this.#options, {
      script,
      args: [this.#peer.system, role, JSON.stringify({ url: this.#server.url, ...order })],
    })
  }

  serverCpuMs(): number {
    return this.#server.cpuMs()
  }

  async fill(handler: string, jobs: number, payloadBytes: number): Promise<void> {
    this.#put += jobs
    await this.call('fill', { handler, jobs, payloadBytes })
  }

  async pace(handler: string, perSecond: number, jobs: number, first = 0): Promise<void> {
    this.#put += jobs
    await this.call('pace', { handler, perSecond, jobs, first })
  }

  enqueue(handler: string, mode: string, jobs: number, payloadBytes: number): Promise<Enqueued> {
    return this.call('enqueue', { handler, mode, jobs, payloadBytes })
  }

  async start(order: Order): Promise<Running> {
    const { handler, jobs, runs = 1, concurrency } = order
    this.#runs = runs
    const settings = { ...this.#peer.settings, ...(concurrency === undefined ? {} : { concurrency }) }
    const { processes = 1 } = this.#peer
    const children = await Promise.all(
      Array.from({ length: processes }, (_, index) => this.#take({ handler, jobs, settings }, index)),
    )
    return {
      pid: children[0]!.pid,
      failure: Promise.race(children.map(({ failure }) => failure)),
      readMetrics: undefined,
      stop: async () => void (await Promise.all(children.map((child) => child.stop()))),
    }
  }

  async #take(order: Record<string, unknown>, index: number): Promise<Child> {
    let isReady: () => void
    const ready = new Promise<void>((resolve) => {
      isReady = resolve
    })
    const child = await startChild(this.#options, {
      script,
      args: [this.#peer.system, 'take', JSON.stringify({ url: this.#server.url, ...order })],
      environment: { [recordsVariable]: this.dir },
      isProfiled: true,
      onLine: (line) => {
        if (line.startsWith('{"ready"')) isReady()
        else if (line.startsWith('{"done"')) this.#done[index] = (JSON.parse(line) as { done: number }).done
      },
    })
    await Promise.race([ready, child.failure])
    return child
  }

  #doneByAll(): number {
    return this.#done.reduce((sum, done) => sum + done, 0)
  }

  /** What the process itself counts: asking its server that often would slow it down. */
  async left(): Promise<number> {
    return this.#put - this.#doneByAll()
  }

  async checkStored(handler: string, jobs: number): Promise<void> {
    const { left } = await this.call<{ left: number }>('state', { handler })
    if (left !== jobs) throw new BenchError(`of ${jobs} jobs ${left} are stored`)
  }

  async checkDone(handler: string, jobs: number): Promise<void> {
    const done = this.#doneByAll()
    if (done > jobs) throw new BenchError(`of ${jobs} jobs ${done} were completed`)
    await collectRecords(this.dir, handler, jobs, this.#runs)
    const { left, failed } = await this.call<{ left: number; failed: number }>('state', { handler })
    if (left + failed > 0) throw new BenchError(`of ${jobs} jobs ${left} are left and ${failed} have failed`)
  }
}
