import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { LogLine, Supervisor } from '../../support/supervisor.ts'
import type { World } from '../../support/world.ts'
import { CanaryWatch } from './canaries.ts'

/** What a supervisor may say at level warn or above while it is sent malformed messages. */
const expectedComplaints = new Set([
  'job dead-lettered',
  'job retrying',
  'header clamped',
  'result cannot be kept',
  // The job's id is too long for that.
  'result lost',
  'delayed job could not be moved, trying again',
  // A job says that it is a schedule's, and there is none.
  'ticks unavailable, trying again',
])

/** The broker, or the supervisor, had no time for seconds: that is the machine's doing. */
function saysBusy(line: LogLine): boolean {
  return /no answer within|timeout/i.test(JSON.stringify(line['err'] ?? ''))
}

function isLeak({ msg, handler }: LogLine): boolean {
  return msg === 'a finished job left something behind that threw' && handler === 'throws.floating'
}

/** Watches everything that comes out of a world's supervisors, for the canary and for complaints. */
export class Watch {
  readonly #world: World
  readonly #supervisors: readonly Supervisor[]
  readonly #canaries: CanaryWatch
  /** Those that have begun to take jobs. */
  readonly #running = new Set<number>()
  readonly #report: (finding: string, example?: string) => void
  /** How often something took so long that it was given up. */
  readonly busy = new Map<string, number>()
  /**
   * How many jobs were ended by their mark, because another job or nobody let their thread report, before it came to
   * light what they had left behind.
   */
  leaks = 0
  /** The most memory that a supervisor has used, in MiB. */
  peakMemoryMb = 0

  constructor(
    world: World,
    supervisors: readonly Supervisor[],
    canary: string,
    report: (finding: string, example?: string) => void,
  ) {
    this.#world = world
    this.#supervisors = supervisors
    this.#canaries = new CanaryWatch(canary)
    this.#report = report
    const { nc } = world.broker
    for (const subject of ['events.>', '$KV.jobs_attempts.>', '$KV.jobs_control.>', 'ticks.>']) {
      nc.subscribe(subject, {
        callback: (_, message) =>
          this.lookFor(`${message.subject} ${Buffer.from(message.data)}`, `a message on ${subject}`),
      })
    }
  }

  /** Reports the canary in something that must not hold it. */
  lookFor(text: string, where: string): void {
    const found = this.#canaries.find(text)
    if (found !== undefined) this.#report(`${where} holds bytes of a payload`, found)
  }

  /** A start asks again by itself, and no message has been published by then. */
  #asksAgain({ msg }: LogLine, pid: number): boolean {
    return msg === 'broker request failed' && !this.#running.has(pid)
  }

  /** Reads what was written since the last call, and forgets it: a long run writes gigabytes. */
  async look(): Promise<void> {
    for (const supervisor of this.#supervisors) {
      const { stdout, stderr, lines, exit, pid } = supervisor
      supervisor.stdout = ''
      supervisor.stderr = ''
      if (exit !== undefined)
        this.#report(`supervisor ${pid} ended with ${JSON.stringify(exit)}: ${stderr.slice(-500)}`)
      for (const [name, text] of [
        ['stdout', stdout],
        ['stderr', stderr],
      ] as const) {
        const found = this.#canaries.findInPiece(`${pid} ${name}`, text)
        if (found !== undefined) this.#report(`${name} holds bytes of a payload`, found)
      }
      if (stderr !== '') this.#report('a supervisor writes to stderr', JSON.stringify(stderr.slice(0, 300)))
      for (const line of lines.splice(0)) {
        // The one that says where it listens is looked up later.
        if (line.msg === 'listening') lines.unshift(line)
        else if (line.msg === 'running') this.#running.add(pid)
        else if (line.level < 40 || expectedComplaints.has(line.msg)) continue
        else if (saysBusy(line) || this.#asksAgain(line, pid))
          this.busy.set(line.msg, (this.busy.get(line.msg) ?? 0) + 1)
        else if (isLeak(line)) this.leaks += 1
        else {
          const { message = '' } = (line['err'] ?? {}) as { message?: string }
          this.#report(`the log says "${line.msg}" ${message}`.trim(), JSON.stringify(line).slice(0, 600))
        }
      }
      this.peakMemoryMb = Math.max(this.peakMemoryMb, await memoryMb(pid))
    }
  }

  /** What is asked once: pages, and the server's own log. */
  async lookAtPages(): Promise<void> {
    for (const supervisor of this.#supervisors) {
      for (const path of ['/metrics', '/readyz', '/healthz']) {
        const { status, body } = await supervisor.get(path)
        if (status !== 200) this.#report(`${path} says ${status} ${body.slice(0, 300)}`)
        this.lookFor(body, path)
      }
    }
    for await (const chunk of createReadStream(this.#world.server.logFile, 'utf8')) {
      const found = this.#canaries.findInPiece('server', chunk as string)
      if (found !== undefined) this.#report("the server's log holds bytes of a payload", found)
    }
  }

  /** The memory of each supervisor now, in MiB. */
  memory(): Promise<number[]> {
    return Promise.all(this.#supervisors.map(({ pid }) => memoryMb(pid)))
  }
}

async function memoryMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
}
