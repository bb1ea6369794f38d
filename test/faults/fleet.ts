import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { eventually } from '../support/eventually.ts'
import type { Link } from '../support/link.ts'
import { projectRoot, Supervisor } from '../support/supervisor.ts'
import type { Disconnection } from './aftermath.ts'
import { type Counted, machineMs, type ProcessLife, type Told } from './evidence.ts'

const preload = (name: string): string =>
  pathToFileURL(join(projectRoot, 'build/test/fixtures/preload', `${name}.mjs`)).href

type MutableLife = { -readonly [Field in keyof ProcessLife]: ProcessLife[Field] }

const stopsAtOnce = 5
const lastWordsLength = 2_000
/** One that is to die at some point comes there within this, unless another fault keeps it from its work. */
const crashMs = 120_000

/**
 * The networks between a fleet and its broker are this process: jobs that keep every processor busy must not slow it
 * down to where leases of two seconds run out.
 */
const behindUs = ['nice', '-n', '10']

/** A place in the fleet: a process that is started again when it dies, behind a network of its own. */
export interface Berth {
  readonly index: number
  /** Undefined where supervisors know several servers. */
  readonly link: Link | undefined
  supervisor: Supervisor
  life: MutableLife
}

/** Supervisors under a process manager: what dies is started again, until the fleet is told to stop. */
export class Fleet {
  readonly berths: Berth[] = []
  readonly lives: MutableLife[] = []
  /** Ids of jobs whose dead letter somebody logged. */
  readonly saidDead = new Set<string>()
  /** Processes that did not get a processor for a while, by what they logged. */
  readonly heldUp: { pid: number; from: number; to: number }[] = []
  readonly disconnections: Disconnection[] = []
  readonly #linesRead = new Map<readonly unknown[], number>()
  readonly #everybody: Supervisor[] = []
  readonly #env: Record<string, string>
  readonly #urlOf: (link: Link | undefined) => string
  #stopping = false

  constructor(env: Record<string, string>, urlOf: (link: Link | undefined) => string) {
    this.#env = env
    this.#urlOf = urlOf
  }

  add(link: Link | undefined): Berth {
    const berth = { index: this.berths.length, link } as Berth
    this.berths.push(berth)
    this.#launch(berth, {})
    return berth
  }

  pidsOf(...berths: readonly Berth[]): number[] {
    return berths.map(({ life }) => life.pid)
  }

  /** Resolves when every supervisor takes jobs. */
  async ready(withinMs = 60_000): Promise<void> {
    await Promise.all(this.berths.map((berth) => this.readyAt(berth, withinMs)))
  }

  /** Resolves when whoever is in this place takes jobs, also when that is the next one. */
  async readyAt(berth: Berth, withinMs = 60_000): Promise<void> {
    await eventually(
      `the supervisor at ${berth.index} is ready`,
      async () => {
        const { supervisor, link } = berth
        const is = `${supervisor.pid} behind ${link?.mode ?? 'no link'}, last said ${supervisor.lastSaid(5)}`
        if (supervisor.exit !== undefined) throw new Error(`${is}, has ended`)
        if (!supervisor.lines.some((line) => line.msg === 'running'))
          throw new Error(`${is}, does not run yet`)
        const { status, body } = await supervisor.get('/readyz').catch((error: unknown) => {
          throw new Error(`${is}, does not answer: ${error}`)
        })
        if (status !== 200) throw new Error(`${is}, is not ready: ${body}`)
        return true
      },
      withinMs,
    )
  }

  /** Kills it; the next one is there when this resolves. */
  async kill(berth: Berth): Promise<void> {
    berth.life.endedBy = 'kill'
    const { supervisor } = berth
    supervisor.signal('SIGKILL')
    await supervisor.exited
  }

  /** Asks it to stop; the next one is there when this resolves. */
  async stop(berth: Berth, during?: (supervisor: Supervisor) => Promise<void>): Promise<void> {
    const { supervisor, life } = berth
    await begun(supervisor)
    life.endedBy = 'stop'
    supervisor.signal('SIGTERM')
    await during?.(supervisor)
    await supervisor.ended(60_000)
  }

  /**
   * Puts one with this preload into the place of the one that is there, which is stopped; resolves when it has died
   * by what the preload does, and another one has taken its place.
   */
  async crashAt(
    berth: Berth,
    point: string,
    nth: number,
    provoke: (supervisor: Supervisor) => Promise<void>,
  ): Promise<number> {
    const env = {
      FAULT_CRASH_AT: point,
      FAULT_CRASH_NTH: String(nth),
      NODE_OPTIONS: `--import=${preload('crash-points')}`,
    }
    const doomed = await this.#replace(berth, env)
    this.lives.find(({ pid }) => pid === doomed.pid)!.endedBy = 'kill'
    await provoke(doomed)
    const exit = await doomed.ended(crashMs)
    if (exit.signal !== 'SIGKILL')
      throw new Error(`it ended with ${JSON.stringify(exit)} and not at ${point}: ${doomed.tail()}`)
    return doomed.pid
  }

  /** Puts one whose clock a file sets into the place of the one that is there. */
  async withClock(berth: Berth, file: string): Promise<void> {
    await this.#replace(berth, { FAULT_CLOCK: file, NODE_OPTIONS: `--import=${preload('clock-steps')}` })
    await this.readyAt(berth)
  }

  /** What all who ever lived logged of a job, in order. */
  told(id: string): Told[] {
    const sinceEpoch = sinceEpochMs()
    const told = this.#everybody.flatMap((supervisor) =>
      supervisor.linesAbout(id).map(({ msg, time, ...more }) => ({
        pid: supervisor.pid,
        at: Number(time) - sinceEpoch,
        line: `${msg} ${['attempt', 'deliveries', 'reason', 'error_code'].flatMap((name) => more[name] ?? []).join(' ')}`,
      })),
    )
    return told.sort((one, other) => one.at - other.at)
  }

  /** What all who ever lived logged in this time that is about no job, in order; ticks and the like left out. */
  said(from: number, to: number): Told[] {
    const sinceEpoch = sinceEpochMs()
    const said = this.#everybody.flatMap((supervisor) =>
      supervisor.lines
        .filter((line) => line['job_id'] === undefined && Number(line['level']) >= 40)
        .concat(
          supervisor.lines.filter(({ msg }) => /^(reconnected|running|draining|drained)/.test(String(msg))),
        )
        .map(({ msg, time, err }) => {
          const { message = '', stack = '' } = (err ?? {}) as { message?: string; stack?: string }
          const detail = msg === 'internal error' ? stack.replaceAll(/\n\s+/g, ' < ') : message
          return { pid: supervisor.pid, at: Number(time) - sinceEpoch, line: `${msg} ${detail}`.trim() }
        }),
    )
    return said.filter(({ at }) => at >= from && at <= to).sort((one, other) => one.at - other.at)
  }

  /** What those that live count. */
  async counted(): Promise<Counted[]> {
    return Promise.all(
      this.berths.map(async ({ supervisor, life }) => {
        const metrics = await supervisor.metrics()
        // Ticks go on while this is read.
        const attempts = (outcome: string): number =>
          metrics.sum('millrace_attempts_total', { outcome }) -
          metrics.sum('millrace_attempts_total', { outcome, handler: 'tick' })
        return {
          pid: life.pid,
          completed: attempts('completed'),
          failed: attempts('failed'),
          deadLetters: metrics.sum('millrace_dead_letters_total'),
        }
      }),
    )
  }

  /** Deliveries that supervisors hold. */
  async inFlight(): Promise<number> {
    const held = await Promise.all(
      this.berths.map(async ({ supervisor }) => (await supervisor.metrics()).sum('millrace_jobs_in_flight')),
    )
    return held.reduce((sum, each) => sum + each, 0)
  }

  /** Stops all of them for good. */
  async end(): Promise<void> {
    this.#stopping = true
    // A small machine cannot end many at once within their bound.
    for (let from = 0; from < this.berths.length; from += stopsAtOnce) {
      const some = this.berths.slice(from, from + stopsAtOnce)
      await Promise.all(some.map((berth) => (berth.supervisor.exit ? undefined : this.stop(berth))))
    }
  }

  /** Notes what the processes have said since the last call of what the judge wants to know. */
  readSaid(): void {
    for (const { lines, pid } of this.#everybody) {
      for (let at = this.#linesRead.get(lines) ?? 0; at < lines.length; at += 1) {
        const line = lines[at]!
        if (line.msg === 'job dead-lettered') this.saidDead.add(String(line['job_id']))
        if (line.msg === 'disconnected from NATS')
          this.disconnections.push({ pid, at: Number(line['time']) - sinceEpochMs() })
        if (line.msg === 'held up, leases renewed late') {
          const to = Number(line['time']) - sinceEpochMs()
          const from = to - Number(line['late_ms'])
          const life = this.lives.find((one) => one.pid === pid)!
          // Its clock may be set by a fault.
          if (from >= life.startedAt && to <= machineMs()) this.heldUp.push({ pid, from, to })
        }
      }
      this.#linesRead.set(lines, lines.length)
    }
  }

  async destroy(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.berths.map(({ supervisor }) => supervisor.kill()))
  }

  async #replace(berth: Berth, env: Record<string, string>): Promise<Supervisor> {
    const old = berth.supervisor
    await begun(old)
    berth.life.endedBy = 'stop'
    const replaced = this.#launch(berth, env)
    old.signal('SIGTERM')
    await old.ended(60_000)
    return replaced
  }

  #launch(berth: Berth, env: Record<string, string>): Supervisor {
    const environment = { ...this.#env, NATS_URL: this.#urlOf(berth.link), ...env }
    const supervisor = new Supervisor(environment, [], behindUs)
    const life: MutableLife = {
      pid: supervisor.pid,
      startedAt: machineMs(),
      endedAt: undefined,
      endedBy: undefined,
      exit: undefined,
      lastWords: '',
    }
    this.lives.push(life)
    this.#everybody.push(supervisor)
    berth.supervisor = supervisor
    berth.life = life
    void supervisor.exited.then((exit) => {
      life.endedAt = machineMs()
      life.exit = exit
      life.lastWords = supervisor.stderr.slice(-lastWordsLength)
      this.readSaid()
      if (berth.supervisor === supervisor && !this.#stopping) this.#launch(berth, {})
    })
    return supervisor
  }
}

/** What the date is ahead of the machine's clock. */
function sinceEpochMs(): number {
  return Date.now() - machineMs()
}

/** Before its first line of ours a process ends by a signal as any does. */
async function begun(supervisor: Supervisor): Promise<void> {
  await eventually('it has begun', () => supervisor.stdout !== '' || supervisor.exit !== undefined)
}
