import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { JetStreamView } from '../support/jetstream-view.ts'
import { Ledger } from '../support/ledger.ts'
import { Link } from '../support/link.ts'
import { projectRoot } from '../support/supervisor.ts'
import { aftermathOf } from './aftermath.ts'
import { poisonPowers, poisonPrefix } from './catalogue/job-faults.ts'
import { CollectedLetters } from './collected-letters.ts'
import { type Evidence, machineMs, type Power, type Strike } from './evidence.ts'
import type { Fault } from './fault.ts'
import { type Berth, Fleet } from './fleet.ts'
import { type Judgement, judge } from './judge.ts'
import { Load } from './load.ts'
import type { Random } from './random.ts'
import type { StageBroker } from './stage-broker.ts'
import { Stillness } from './stillness.ts'

const handlers = join(projectRoot, 'test/fixtures/handlers/faults')
const jobStreams = ['JOBS', 'JOBS_HIGH', 'JOBS_LOW', 'JOBS_DELAYED']
/** After the last fault is healed jobs go on to end; so long without one end is a standstill, on however slow a machine. */
const standstillMs = 120_000

const lookMs = 50
/** So many jobs that a stream still holds are looked at. */
const looked = 1_000
/** Until a fleet is ready, on however slow a machine; each process needs a second of a processor. */
const startMs = 60_000
const startMsEach = 5_000

/** What fills the stream of jobs up; nobody takes it. */
export const jobFilling = 'jobs.filling'

/** The ack wait of every supervisor on a stage of one server. */
export const ackWaitMs = 2_000

/** Elections end within this, or may take minutes. */
const electMs = 20_000
/** What becomes of jobs when the consumer that handed them out is removed. */
const removing: readonly Power[] = ['repeat', 'charge often', 'overlap', 'forget']

/** So long a consumer may be without a leader before it has another one: deliveries get lost. */
const unledMs = 9_000
/** So long the one before may go on; the next one does not know what had not been passed on. */
const takingOverMs = 2_000
const takingOver: readonly Power[] = ['repeat', 'charge', 'overlap', 'forget']

/** What a link that is cut may do to jobs whose deliveries were on their way. */
const charging: readonly Power[] = ['charge']

/** What a standstill may do: leases are between a third of an ack wait and half of it old when they are renewed. */
function powersOf({ from, to }: { from: number; to: number }, ackWaitMs: number): readonly Power[] {
  if (to - from < ackWaitMs / 2) return charging
  return to - from < ackWaitMs ? ['repeat', 'overlap', 'charge'] : ['repeat', 'overlap', 'charge often']
}

/** Instants that are in order, less than a takeover apart, as one. */
function spansOf(instants: readonly number[]): { from: number; to: number }[] {
  const spans: { from: number; to: number }[] = []
  for (const at of instants) {
    const last = spans.at(-1)
    if (last && at - last.to < takingOverMs) last.to = at
    else spans.push({ from: at, to: at })
  }
  return spans
}

/** Small enough for a round of seconds. */
const settings: Record<string, string> = {
  MILLRACE_HTTP_PORT: '0',
  MILLRACE_HANDLERS: handlers,
  MILLRACE_THREADS: '2',
  MILLRACE_IO_CONCURRENCY: '20',
  MILLRACE_JOB_LOGS: 'errors',
  MILLRACE_BACKOFF_BASE_MS: '20',
  MILLRACE_BACKOFF_MAX_MS: '100',
  MILLRACE_ACK_WAIT_MS: String(ackWaitMs),
  MILLRACE_MAX_ATTEMPTS: '60',
  MILLRACE_GRACE_MS: '100',
  MILLRACE_DRAIN_MS: '1500',
  MILLRACE_THREAD_MEMORY_MB: '48',
}

/** A broker, a fleet behind bad networks, a load, and everything that is written down about them. */
export class Stage {
  readonly broker: StageBroker
  readonly view: JetStreamView
  readonly fleet: Fleet
  readonly load: Load
  readonly ledger: Ledger
  readonly letters: CollectedLetters
  readonly random: Random
  readonly folder: string
  readonly #links: Link[]
  readonly #strikes: Strike[] = []
  /** Places that faults are at, in all and of the current one. */
  readonly #taken = new Set<Berth>()
  /** Known when it has finished. */
  readonly unmeant: Strike[] = []
  readonly #stillness = new Stillness()
  readonly #striking = new AsyncLocalStorage<Set<Berth>>()
  readonly #completed = new Set<string>()
  #struck = 0
  #seenLines = 0
  /** Jobs that were open when a stream had been deleted: most of them never end. */
  #writtenOff = 0

  private constructor(parts: {
    broker: StageBroker
    view: JetStreamView
    fleet: Fleet
    links: Link[]
    ledger: Ledger
    random: Random
    folder: string
  }) {
    this.broker = parts.broker
    this.view = parts.view
    this.fleet = parts.fleet
    this.ledger = parts.ledger
    this.random = parts.random
    this.folder = parts.folder
    this.#links = parts.links
    this.load = new Load(parts.view.nc, parts.random.fork(1))
    this.letters = new CollectedLetters(parts.view)
  }

  /** @param env - settings that differ from those of other stages. */
  static async open(
    broker: StageBroker,
    random: Random,
    supervisors: number,
    env: Record<string, string> = {},
  ): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-faults-'))
    const ledger = new Ledger(join(folder, 'ledger.jsonl'))
    const view = await JetStreamView.connect(broker.url, 'jobs', broker.tester)
    const links: Link[] = []
    const all = { ...settings, ...broker.supervisorEnv, ...env, E2E_LEDGER: ledger.path }
    const fleet = new Fleet(all, (link) => link?.url ?? broker.url)
    for (let index = 0; index < supervisors; index += 1) {
      const link = broker.linkable ? await Link.to(broker.url) : undefined
      if (link) links.push(link)
      fleet.add(link)
    }
    const stage = new Stage({ broker, view, fleet, links, ledger, random, folder })
    try {
      await fleet.ready(startMs + supervisors * startMsEach)
    } catch (error) {
      await stage.close()
      throw error
    }
    return stage
  }

  /** Resolves when every supervisor takes jobs, for which an operator may have to help the broker. */
  async ready(withinMs: number): Promise<void> {
    const { relieve } = this.broker
    const until = performance.now() + withinMs
    for (;;) {
      const leftMs = until - performance.now()
      const isLast = relieve === undefined || leftMs <= electMs
      try {
        return await this.fleet.ready(isLast ? leftMs : electMs)
      } catch (error) {
        if (isLast) throw error
        await this.strike({
          name: 'consumers without a leader removed',
          powers: removing,
          // Whatever it could not do shows in who is still not ready.
          strike: () => relieve().then(undefined, () => undefined),
        })
      }
    }
  }

  /** Some place in the fleet that no other fault is at; it belongs to the fault that asks until that is healed. */
  someBerth(): Berth {
    const free = this.fleet.berths.filter((berth) => !this.#taken.has(berth))
    const berth = this.random.pick(free.length > 0 ? free : this.fleet.berths)
    this.#taken.add(berth)
    this.#striking.getStore()?.add(berth)
    return berth
  }

  /** The ack wait of its supervisors. */
  get ackWaitMs(): number {
    return Number(this.broker.supervisorEnv['MILLRACE_ACK_WAIT_MS'] ?? ackWaitMs)
  }

  /** How many faults have struck. */
  get struck(): number {
    return this.#struck
  }

  /** Lets a fault strike and heal, and notes what it may have done to whom. */
  async strike(fault: Fault): Promise<void> {
    const from = machineMs()
    let pids: readonly number[] | undefined
    const own = new Set<Berth>()
    try {
      pids = await this.#striking.run(own, () => fault.strike(this))
    } finally {
      for (const berth of own) this.#taken.delete(berth)
      if (fault.powers.includes('lose')) this.#writtenOff += Math.max(0, await this.open(0))
      this.#struck += 1
      // One that could not be carried out to its end may have hit anybody.
      this.#strikes.push({ fault: fault.name, powers: fault.powers, pids, from, to: machineMs() })
    }
  }

  /** Puts right whatever faults have left behind. */
  async heal(): Promise<void> {
    const from = machineMs()
    for (const link of this.#links) {
      link.delay(0)
      link.set('pass')
    }
    for (const { supervisor } of this.fleet.berths) supervisor.signal('SIGCONT')
    await this.broker.heal()
    // A server that is killed may show again what was purged just before.
    await this.view.jsm.streams.purge('JOBS', { filter: jobFilling }).catch(() => {})
    // Whoever reads the story of a job wants to know: the server looks at everybody's credentials again.
    this.#strikes.push({ fault: 'everything healed', powers: [], pids: undefined, from, to: machineMs() })
  }

  /** How many jobs have not ended, besides those that a fault may have deleted. */
  async open(enough: number): Promise<number> {
    const known = (): number =>
      this.load.accepted - this.#readLedger().size - this.letters.ids.size - this.#writtenOff
    // Reading dead letters takes requests, and most of the time nobody needs to know.
    if (known() >= enough) await this.letters.read().catch(() => {})
    return known()
  }

  /** Jobs that have completed; `letters` has those that died. */
  async accounted(): Promise<Set<string>> {
    await this.letters.read()
    this.fleet.readSaid()
    return this.#readLedger()
  }

  #readLedger(): Set<string> {
    const lines = this.ledger.lines()
    for (; this.#seenLines < lines.length; this.#seenLines += 1) {
      const line = lines[this.#seenLines]!
      const isEnd = line.kind === 'end' && line['how'] === 'returned'
      if (isEnd && !line.id.startsWith('tick:')) this.#completed.add(line.id)
    }
    return this.#completed
  }

  /** It is a dead letter, or was one when the stream of them was deleted, before anybody had read it. */
  #hasDied(id: string): boolean {
    return this.letters.ids.has(id) || this.fleet.saidDead.has(id)
  }

  /** Whether a fault that deletes jobs has struck since. */
  mayHaveLost(sinceMs: number): boolean {
    return this.#strikes.some(({ powers, to }) => powers.includes('lose') && to >= sinceMs)
  }

  /** Waits until the condition holds, for as long as jobs go on to end. */
  async progressing(what: string, condition: () => Promise<boolean>): Promise<void> {
    let before = await this.#ended()
    let changedAt = performance.now()
    for (;;) {
      const problem = await condition().then(
        (holds) => (holds ? undefined : 'it does not hold'),
        (error: unknown) => (error as Error).message,
      )
      if (problem === undefined) return
      const ended = await this.#ended()
      if (ended !== before) {
        before = ended
        changedAt = performance.now()
      } else if (performance.now() - changedAt > standstillMs) {
        throw new Error(`no job ended for ${standstillMs} ms: ${what}: ${problem}; ${await this.#state()}`)
      }
      await wait(lookMs)
    }
  }

  async #ended(): Promise<number> {
    await this.letters.read().catch(() => {})
    return this.#readLedger().size + this.letters.ids.size
  }

  /** What supervisors and broker say of themselves, for a standstill. */
  async #state(): Promise<string> {
    const of: string[] = []
    for (const stream of jobStreams) {
      const ids = await this.#heldIds(stream, 5).catch(() => [])
      if (ids.length > 0) of.push(`${stream} holds ${ids}`)
      const consumers = await this.view.jsm.consumers
        .list(stream)
        .next()
        .catch(() => [])
      for (const { name, num_pending, num_ack_pending, num_waiting } of consumers) {
        of.push(`${stream} ${name}: ${num_pending} wait, ${num_ack_pending} delivered, ${num_waiting} pulls`)
      }
    }
    return [
      ...of,
      ...this.fleet.berths.map(({ life, supervisor }) => `${life.pid} ${supervisor.lastSaid(5)}`),
    ].join('; ')
  }

  /** Ends the load, lets everything end, stops the fleet, and judges. */
  async finish(): Promise<Judgement> {
    await this.load.stop()
    await this.ready(standstillMs)
    const late = await this.#drained()
    const counted = await this.fleet.counted()
    const { open, stranded } = await this.#leftovers()
    await this.fleet.end()
    await this.letters.read()
    this.unmeant.push(...this.#unmeant())
    this.#strikes.push(...this.unmeant, ...this.#poisonRuns())
    return judge(this.#evidence(counted, [...late, ...open], stranded))
  }

  /**
   * Faults that nobody meant, on a machine that is too busy: this process, which is the network, or a supervisor stood
   * still; the server cut somebody off who did not read; a cluster elected leaders; somebody was cut off by a fault that
   * was healed by then.
   */
  #unmeant(): Strike[] {
    this.fleet.readSaid()
    const sinceEpochMs = Date.now() - machineMs()
    const stillnesses = this.#stillness.found.map((span) => ({ pids: undefined, ...span }))
    const heldUp = this.fleet.heldUp.map(({ pid, ...span }) => ({ pids: [pid], ...span }))
    const isExplained = (at: number): boolean =>
      this.#strikes.some(({ powers, from, to }) => powers.length > 0 && from <= at && at <= to)
    const electedAt = this.broker.elections().map((date) => date - sinceEpochMs)
    const elections = spansOf(electedAt.filter((at) => !isExplained(at)))
    const cuts = this.broker.cuts().map((date) => ({ from: date - sinceEpochMs, to: date - sinceEpochMs }))
    const busy = [
      ...stillnesses.map((span) => ({
        fault: 'the network stood still',
        powers: powersOf(span, this.ackWaitMs),
        ...span,
      })),
      ...heldUp.map((span) => ({
        fault: 'a supervisor got no processor',
        powers: powersOf(span, this.ackWaitMs),
        ...span,
      })),
      ...elections.flatMap(({ from, to }) => [
        {
          fault: 'jobs without a leader in the cluster',
          powers: charging,
          pids: undefined,
          from: from - unledMs,
          to: from,
        },
        {
          fault: 'the cluster elected another leader',
          powers: takingOver,
          pids: undefined,
          from,
          to: to + takingOverMs,
        },
      ]),
      ...cuts.map((span) => ({
        fault: 'the server cut one off who did not read',
        powers: charging,
        pids: undefined,
        ...span,
      })),
    ].map((strike) => ({ ...strike, unmeant: true as const }))
    return [...busy, ...aftermathOf(this.#strikes, this.fleet.disconnections)]
  }

  /**
   * Each run of a job that ends its process, until it has: whoever published it stops waiting when a stream is deleted,
   * but the job may have been in another one.
   */
  #poisonRuns(): Strike[] {
    const starts = this.ledger
      .lines()
      .filter(({ kind, id }) => kind === 'start' && id.startsWith(poisonPrefix))
    return starts.map(({ id, pid, atMs }) => {
      const endedAt = this.fleet.lives.find((life) => life.pid === pid)?.endedAt
      return {
        fault: `a run of ${id}`,
        powers: poisonPowers,
        pids: undefined,
        from: atMs,
        to: endedAt ?? atMs,
      }
    })
  }

  async close(): Promise<void> {
    this.#stillness.end()
    await this.load.stop()
    await this.fleet.destroy()
    await this.view.nc.close()
    for (const link of this.#links) await link.close()
    await this.broker.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  #evidence(counted: Evidence['counted'], leftovers: readonly string[], stranded: number): Evidence {
    return {
      publications: this.load.publications,
      ledger: this.ledger.lines(),
      letters: this.letters.all,
      saidDead: this.fleet.saidDead,
      told: (id) => this.fleet.told(id),
      said: (from, to) => this.fleet.said(from, to),
      strikes: this.#strikes,
      lives: this.fleet.lives,
      counted,
      leftovers,
      stranded,
    }
  }

  /** Waits until nothing is left to do; what is late then, in words. */
  async #drained(): Promise<string[]> {
    try {
      await this.progressing('every job has ended', async () => {
        const missing = await this.#missing()
        if (missing.length > 0) throw new Error(`${missing.length} have not: ${missing.slice(0, 3)}`)
        const held = await this.fleet.inFlight()
        if (held > 0) throw new Error(`supervisors hold ${held}`)
        // Nobody knows whether the broker has jobs whose publish had no answer.
        const left = await this.#undelivered()
        if (left > 0) throw new Error(`the broker holds ${left} that it will deliver`)
        return true
      })
      return []
    } catch (error) {
      return [(error as Error).message]
    }
  }

  /** How many jobs consumers have yet to deliver, or wait for; a server may wait for acks of what it has no more. */
  async #undelivered(): Promise<number> {
    let left = 0
    for (const stream of jobStreams) {
      let ofStream = 0
      for await (const { name, num_pending, num_ack_pending } of this.view.jsm.consumers.list(stream)) {
        if (name !== 'tick') ofStream += num_pending + num_ack_pending
      }
      if (ofStream > 0) left += Math.min(ofStream, (await this.view.jsm.streams.info(stream)).state.messages)
    }
    return left
  }

  /** The ids of the first jobs that a stream holds, at most so many. */
  async #heldIds(stream: string, limit: number): Promise<string[]> {
    const ids: string[] = []
    const { state } = await this.view.jsm.streams.info(stream)
    if (state.messages === 0) return ids
    for (let seq = state.first_seq; seq <= state.last_seq && ids.length < limit; seq += 1) {
      const stored = await this.view.jsm.streams.getMessage(stream, { seq }).catch(() => null)
      if (stored) ids.push(stored.header.get('Millrace-Job-Id') || stored.header.get('Nats-Msg-Id'))
    }
    return ids
  }

  async #missing(): Promise<string[]> {
    const completed = await this.accounted()
    const missing: string[] = []
    for (const { job, state, sentAt } of this.load.publications.values()) {
      if (state !== 'accepted' || completed.has(job.id) || this.#hasDied(job.id)) continue
      if (this.mayHaveLost(sentAt)) continue
      missing.push(job.id)
    }
    return missing
  }

  /**
   * What job streams still hold, in words, and how many messages of jobs that have ended: a broker that was killed
   * shows those again whose deletion it had not written down, and delivers them to nobody. Ticks go on to the end.
   */
  async #leftovers(): Promise<{ open: string[]; stranded: number }> {
    const open: string[] = []
    let stranded = 0
    const completed = await this.accounted()
    const mayStrand = this.#strikes.some(({ powers }) => powers.includes('forget'))
    for (const stream of jobStreams) {
      const ids = (await this.#heldIds(stream, looked)).filter((id) => !id.startsWith('tick:'))
      const ended = ids.filter((id) => completed.has(id) || this.#hasDied(id))
      if (mayStrand) stranded += ended.length
      const left = mayStrand ? ids.filter((id) => !ended.includes(id)) : ids
      if (left.length > 0) open.push(`${stream} holds ${left.length}: ${left.slice(0, 5)}`)
    }
    return { open, stranded }
  }
}
