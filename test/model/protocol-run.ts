import { completed, type Outcome } from '#src/core/outcome.js'
import type { Engine } from '#src/engine/engine.js'
import { MemoryBroker } from '../support/memory-broker.ts'
import { ModelClock } from './model-clock.ts'
import type { LinkWatcher, ModelLink } from './model-link.ts'
import { type Ending, handlerName, type ModelRun, ModelSupervisor, times } from './model-supervisor.ts'
import { type FaultKind, ProtocolLedger } from './protocol-ledger.ts'
import { settled } from './turns.ts'
import type { Wire } from './wires.ts'

/** What is explored. */
export interface ProtocolOptions {
  /** At most so many faults strike a run. */
  readonly faults: number
  readonly kinds: readonly FaultKind[]
  readonly jobs: number
  /** The first so many of the jobs end in any of these ways; the others complete. */
  readonly culprits: number
  readonly endings: readonly Ending[]
  /** Processes at a time; one that is gone is replaced at once. */
  readonly supervisors: number
  /** Attempts at a time of each process. */
  readonly concurrency: number
  readonly maxAttempts: number
  /** Breaks each engine before it starts, to see whether that is noticed. */
  readonly tamper?: (engine: Engine) => void
}

/** One thing that can happen next. */
export interface Choice {
  readonly label: string
  /** The fault that it is; undefined for what happens without one. */
  readonly fault?: FaultKind
  /** Nothing but time passes. */
  readonly isTime?: true
  readonly act: () => void
}

/** Picks one of several choices, of which the first is what usually happens. */
export type Chooser = (choices: readonly Choice[]) => Choice

export interface RunReport {
  readonly violations: readonly string[]
  /** Everything that happened, one line each. */
  readonly trace: readonly string[]
  readonly steps: number
}

const stepLimit = 1_500
const duplicateWindowMs = 120_000
/** A run that is not over by then will never be. */
const longestMs = 30 * 60_000

/** One run of the protocol: a broker, processes and jobs, and a chooser that says what happens next. */
export class ProtocolRun {
  readonly #options: ProtocolOptions
  readonly #choose: Chooser
  readonly #clock = new ModelClock()
  readonly #brokerTime = this.#clock.forProcess()
  readonly #broker: MemoryBroker
  readonly #ledger: ProtocolLedger
  readonly #trace: string[] = []
  #supervisors: ModelSupervisor[] = []
  #names = 0
  #wires = 0
  /** A process or the broker can die right now with another effect than a step ago; of this supervisor. */
  #crashPoint: ModelSupervisor | undefined
  #snoozes = 0
  readonly #asked = new Map<number, number>()
  #faultsLeft: number
  /** How often each label was offered, so that no two in a run are the same. */
  readonly #offered = new Map<string, number>()

  constructor(options: ProtocolOptions, choose: Chooser) {
    this.#options = options
    this.#choose = choose
    this.#faultsLeft = options.faults
    this.#broker = new MemoryBroker(this.#brokerTime, { ackWaitMs: times.ackWaitMs, duplicateWindowMs })
    this.#ledger = new ProtocolLedger({
      maxAttempts: options.maxAttempts,
      culprits: options.culprits,
      windowMs: duplicateWindowMs,
      now: () => this.#clock.nowMs,
    })
  }

  async execute(): Promise<RunReport> {
    for (let count = 0; count < this.#options.jobs; count += 1) this.#broker.enqueue(handlerName)
    for (let count = 0; count < this.#options.supervisors; count += 1) this.#startSupervisor()
    await settled()
    let steps = 0
    while (this.#ledger.violations.length === 0) {
      this.#observe()
      if (this.#isOver()) {
        this.#ledger.close()
        break
      }
      steps += 1
      this.#ledger.step = steps
      if (steps > stepLimit || this.#clock.nowMs > longestMs) {
        this.#ledger.violations.push('G1: it does not come to an end')
        break
      }
      const choices = this.#choices()
      const choice =
        choices.length === 1 ? choices[0]! : this.#choose(choices.map((each) => this.#unique(each)))
      if (!choice.isTime) this.#tell(choice.fault ? `${choice.label}  <- ${choice.fault}` : choice.label)
      if (choice.fault) {
        this.#faultsLeft -= 1
        this.#ledger.struck(choice.fault)
      }
      this.#crashPoint = undefined
      choice.act()
      await settled()
    }
    for (const supervisor of this.#supervisors) supervisor.end(this.#clock)
    return { violations: this.#ledger.violations, trace: this.#trace, steps }
  }

  /** What can happen now, the usual first; then the faults. */
  #choices(): Choice[] {
    const usual = this.#usual()
    const faults = this.#faults(usual)
    const [first, ...others] = usual
    const choices = first ? [...first.choices] : [this.#timePasses()]
    choices.push(...faults)
    if (this.#explores('order')) {
      for (const { choices: some } of others) {
        for (const choice of some) {
          if (!choice.fault) choices.push({ ...choice, label: `sooner, ${choice.label}`, fault: 'order' })
        }
      }
    }
    return choices
  }

  /** What is enabled, in the order in which it usually happens; each with the ways in which it can. */
  #usual(): { choices: Choice[]; of?: ModelSupervisor }[] {
    const enabled: { choices: Choice[]; of?: ModelSupervisor }[] = []
    const now = this.#clock.nowMs
    for (const supervisor of this.#supervisors) {
      if (!supervisor.stopped) continue
      enabled.push({
        choices: [{ label: `${supervisor.name} has stopped`, act: () => this.#replace(supervisor) }],
      })
    }
    for (const { link, name } of this.#supervisors) {
      if (link.connected || link.heldUntil > now) continue
      enabled.push({ choices: [{ label: `${name} is connected again`, act: () => this.#restore(link) }] })
    }
    for (const supervisor of this.#supervisors) {
      const lane = supervisor.timers.frozen ? undefined : supervisor.endedLane
      if (!lane) continue
      enabled.push({
        choices: [
          {
            label: `${supervisor.name}: its thread ends`,
            act: () => this.#endLane(supervisor, lane, 'hang'),
          },
        ],
      })
    }
    if (this.#clock.nextAt <= now)
      enabled.push({ choices: [{ label: 'a timer fires', isTime: true, act: () => this.#clock.fire() }] })
    for (const { supervisor, wire, queue } of this.#heads()) {
      enabled.push({ of: supervisor, choices: this.#moves(supervisor, wire, queue) })
    }
    if (this.#broker.hasNext(handlerName)) {
      const takers = this.#supervisors.filter(
        ({ link, stopped }) => link.credit > 0 && !isHeld(link, now) && !stopped,
      )
      const choices = takers
        .filter((supervisor) => !supervisor.timers.frozen)
        .map((supervisor) => ({
          label: `the broker delivers to ${supervisor.name}`,
          act: () => this.#deliver(supervisor),
        }))
      if (choices.length > 0) enabled.push({ choices })
    }
    for (const supervisor of this.#supervisors) {
      if (supervisor.timers.frozen) continue
      for (const run of supervisor.runs) {
        if (!run.hangs) enabled.push({ of: supervisor, choices: this.#endings(supervisor, run) })
      }
    }
    return enabled
  }

  /** The next of what is on its way, on each connection and in each direction, the earliest first. */
  #heads(): { supervisor: ModelSupervisor; wire: Wire; queue: Wire[] }[] {
    const heads: { supervisor: ModelSupervisor; wire: Wire; queue: Wire[] }[] = []
    for (const supervisor of this.#supervisors) {
      const { link, timers } = supervisor
      if (isHeld(link, this.#clock.nowMs)) continue
      const [out] = link.outgoing
      if (out) heads.push({ supervisor, wire: out, queue: link.outgoing })
      const [back] = link.incoming
      if (back && !timers.frozen) heads.push({ supervisor, wire: back, queue: link.incoming })
    }
    return heads.sort((a, b) => a.wire.id - b.wire.id)
  }

  #moves(supervisor: ModelSupervisor, wire: Wire, queue: Wire[]): Choice[] {
    const arrives: Choice = {
      label: wire.label,
      act: () => {
        queue.shift()
        if (wire.reply !== undefined) this.#ledger.arrived(wire.sequence!, wire.reply)
        wire.arrive()
        if (hasEffect(wire)) this.#crashPoint = supervisor
      },
    }
    const choices = [arrives]
    if (queue === supervisor.link.outgoing) {
      if (this.#explores('loss') && wire.kind !== 'barrier') {
        choices.push({
          label: `lost: ${wire.label}`,
          fault: 'loss',
          act: () => {
            queue.shift()
            this.#lost(wire)
          },
        })
      }
    } else if (this.#explores('answer loss') && wire.kind.endsWith('answer')) {
      choices.push({
        label: `lost: ${wire.label}`,
        fault: 'answer loss',
        act: () => {
          queue.shift()
          this.#lost(wire)
        },
      })
    }
    return choices
  }

  #endings(supervisor: ModelSupervisor, run: ModelRun): Choice[] {
    const { sequence } = run.job
    const asked = this.#asked.get(sequence) ?? 0
    // A job that runs more often than it should is known by then.
    const isFree = sequence <= this.#options.culprits && asked <= this.#options.maxAttempts
    const endings: readonly Ending[] = isFree ? this.#options.endings : ['complete']
    return endings
      .filter((ending) => ending !== 'snooze' || this.#snoozes < 1)
      .map((ending) => ({
        label: `${supervisor.name}: attempt ${run.job.attempt} of job ${sequence} ends: ${ending}`,
        act: () => {
          this.#asked.set(sequence, asked + 1)
          this.#end(supervisor, run, ending)
        },
      }))
  }

  /** What can strike now, besides the loss of a message. */
  #faults(usual: readonly { of?: ModelSupervisor }[]): Choice[] {
    const faults: Choice[] = []
    const point = this.#crashPoint
    if (point && this.#supervisors.includes(point)) {
      if (this.#explores('crash')) {
        faults.push({ label: `${point.name} is killed`, fault: 'crash', act: () => this.#crash(point) })
      }
      if (this.#explores('broker kill')) {
        faults.push({ label: 'the broker is killed', fault: 'broker kill', act: () => this.#killBroker() })
      }
    }
    // Where nothing of a process can move or end, a fault of its connection is one of a moment later.
    const supervisor = usual[0]?.of
    if (!supervisor) return faults
    const { link, timers, name } = supervisor
    const later = this.#clock.nowMs + times.ackWaitMs + 1
    if (this.#explores('stop') && !supervisor.stopping) {
      faults.push({ label: `${name} is told to stop`, fault: 'stop', act: () => supervisor.stop() })
    }
    if (this.#explores('drop') && link.connected) {
      for (const [how, until] of [
        ['for a moment', this.#clock.nowMs],
        ['until all is quiet', Number.POSITIVE_INFINITY],
        ['for longer than the ack wait', later],
      ] as const) {
        faults.push({
          label: `the connection of ${name} breaks ${how}`,
          fault: 'drop',
          act: () => this.#drop(supervisor, until),
        })
      }
    }
    if (this.#explores('stall') && link.connected && !isHeld(link, this.#clock.nowMs)) {
      faults.push({
        label: `nothing moves on the connection of ${name} for longer than the ack wait`,
        fault: 'stall',
        act: () => {
          link.heldUntil = later
        },
      })
    }
    if (this.#explores('freeze') && !timers.frozen) {
      faults.push({
        label: `${name} stands still for longer than the ack wait`,
        fault: 'freeze',
        act: () => {
          timers.frozen = true
          this.#brokerTime.after(times.ackWaitMs + 1, () => {
            timers.frozen = false
          })
        },
      })
    }
    return faults
  }

  #timePasses(): Choice {
    const now = this.#clock.nowMs
    for (const { link, name } of this.#supervisors) {
      if (link.connected || link.heldUntil < Number.POSITIVE_INFINITY) continue
      return { label: `${name} is connected again`, act: () => this.#restore(link) }
    }
    let next = Math.min(this.#clock.nextAt, Math.max(now, this.#broker.nextAt))
    if (this.#broker.nextAt <= now) next = this.#clock.nextAt
    for (const { link } of this.#supervisors) {
      if (link.heldUntil > now) next = Math.min(next, link.heldUntil)
    }
    return {
      label: `${next - now} ms pass`,
      isTime: true,
      act: () => {
        this.#clock.nowMs = next
      },
    }
  }

  #deliver(supervisor: ModelSupervisor): void {
    const delivery = this.#broker.next(handlerName)!
    this.#ledger.delivered(delivery.sequence, supervisor.name, delivery.reply)
    supervisor.link.bring(delivery)
    this.#crashPoint = supervisor
  }

  #end(supervisor: ModelSupervisor, run: ModelRun, ending: Ending): void {
    const { job, lane } = run
    if (ending === 'hang') {
      run.hangs = true
      return
    }
    if (ending === 'snooze') this.#snoozes += 1
    if (ending === 'process crash') {
      this.#ledger.struck('crash', true)
      this.#crash(supervisor)
      return
    }
    if (ending === 'thread crash') {
      this.#endLane(supervisor, lane, ending, job.sequence)
      return
    }
    // What an attempt says after it was told to stop, except that it completed, is that it stopped.
    const isCut = job.abortCode === 'lease_lost' || job.abortCode === 'shutdown'
    const its = isCut && ending !== 'complete' ? 'interrupted' : ending
    this.#ledger.ended(job.sequence, supervisor.name, its, job.leaseLost)
    supervisor.report(run, outcomeOf(ending))
    this.#crashPoint = supervisor
  }

  #endLane(supervisor: ModelSupervisor, lane: ModelRun['lane'], ending: Ending, culprit?: number): void {
    const onIt = supervisor.runs.filter((run) => run.lane === lane)
    const suspects = onIt.filter(({ job }) => job.suspect || job.recordUnread)
    for (const { job } of onIt) {
      // Of several that could have ended the thread nobody can tell which did, unless one alone was a suspect.
      const isKnown = onIt.length === 1 || (suspects.length === 1 && suspects[0]!.job === job)
      const its = culprit === undefined || (culprit === job.sequence && isKnown) ? ending : 'interrupted'
      const cutShort = ending === 'hang' && job.abortCode !== 'deadline'
      this.#ledger.ended(job.sequence, supervisor.name, cutShort ? 'interrupted' : its, job.leaseLost)
    }
    const cause = ending === 'hang' ? undefined : { code: 'thread_crash', message: 'the thread died' }
    supervisor.endLane(lane, cause)
    this.#crashPoint = supervisor
  }

  #crash(supervisor: ModelSupervisor): void {
    const suspectRuns = supervisor.runs.some(({ job }) => job.suspect)
    for (const { job } of supervisor.runs) {
      this.#ledger.ended(job.sequence, supervisor.name, 'process crash', job.leaseLost)
    }
    this.#loseWires(supervisor.link)
    for (const job of supervisor.engine.inFlight.all()) {
      const isProtected = suspectRuns && job.suspect && !supervisor.isRunning(job.sequence)
      this.#ledger.died(job.sequence, supervisor.name, isProtected)
    }
    supervisor.end(this.#clock)
    this.#replace(supervisor)
  }

  #replace(supervisor: ModelSupervisor): void {
    this.#loseWires(supervisor.link)
    supervisor.end(this.#clock)
    this.#supervisors = this.#supervisors.filter((other) => other !== supervisor)
    this.#startSupervisor()
  }

  #startSupervisor(): void {
    this.#names += 1
    const name = `s${this.#names}`
    const watcher = this.#watcher(name)
    const supervisor = new ModelSupervisor(name, this.#clock, this.#broker, watcher, this.#options)
    this.#supervisors.push(supervisor)
    this.#options.tamper?.(supervisor.engine)
    supervisor.start()
  }

  #drop(supervisor: ModelSupervisor, until: number): void {
    const { link } = supervisor
    this.#loseWires(link)
    link.drop()
    link.heldUntil = until
  }

  #restore(link: ModelLink): void {
    link.heldUntil = Number.NEGATIVE_INFINITY
    link.restore()
  }

  #killBroker(): void {
    this.#broker.kill()
    for (const supervisor of this.#supervisors) this.#drop(supervisor, this.#clock.nowMs)
  }

  #loseWires(link: ModelLink): void {
    for (const wire of [...link.outgoing, ...link.incoming]) this.#lost(wire)
  }

  #lost({ kind, sequence, reply }: Wire): void {
    if (sequence === undefined) return
    if (kind === 'record' || kind === 'record answer') this.#ledger.excused(sequence)
    if (kind === 'delivery') this.#ledger.neverArrived(sequence, reply!)
  }

  /** Looks at what the last step has led to. */
  #observe(): void {
    for (const supervisor of this.#supervisors) {
      if (!supervisor.timers.frozen) {
        for (const { job } of supervisor.begin()) {
          const { sequence, attempt } = job
          const isElsewhere = this.#supervisors.some(
            (other) => other !== supervisor && other.isRunning(sequence),
          )
          this.#tell(`${supervisor.name}: attempt ${attempt} of job ${sequence} begins`)
          this.#ledger.began(sequence, supervisor.name, attempt, isElsewhere)
          this.#crashPoint = supervisor
        }
      }
      for (let sequence = 1; sequence <= this.#options.jobs; sequence += 1) {
        const onItsWay = supervisor.link.incoming.some(
          (wire) => wire.kind === 'delivery' && wire.sequence === sequence,
        )
        if (!onItsWay && !supervisor.held(sequence)) this.#ledger.released(sequence, supervisor.name)
      }
    }
    for (let sequence = 1; sequence <= this.#options.jobs; sequence += 1) {
      const leaseUntil = this.#broker.leaseUntil(sequence)
      if (leaseUntil !== undefined && leaseUntil <= this.#clock.nowMs) this.#ledger.expired(sequence)
    }
  }

  #isOver(): boolean {
    if (this.#broker.jobs > 0) return false
    for (const supervisor of this.#supervisors) {
      const { link, timers, runs, endedLane, stopping } = supervisor
      if (timers.frozen || stopping || runs.length > 0 || endedLane) return false
      if (!link.connected || isHeld(link, this.#clock.nowMs)) return false
      if (link.outgoing.length + link.incoming.length > 0) return false
      if (supervisor.leftovers().length > 0) return false
    }
    // After a fault a record may be left, and expires.
    return this.#ledger.hasFaults || this.#broker.attempts.keys.length === 0
  }

  #tell(what: string): void {
    this.#trace.push(`${String(this.#clock.nowMs).padStart(6)}  ${what}`)
  }

  #explores(kind: FaultKind): boolean {
    return this.#faultsLeft > 0 && this.#options.kinds.includes(kind)
  }

  #unique(choice: Choice): Choice {
    const count = (this.#offered.get(choice.label) ?? 0) + 1
    this.#offered.set(choice.label, count)
    return count === 1 ? choice : { ...choice, label: `${choice.label} (${count})` }
  }

  #watcher(name: string): LinkWatcher {
    return {
      nextId: () => {
        this.#wires += 1
        return this.#wires
      },
      answering: (sequence, reply, answer) =>
        this.#ledger.answering(sequence, reply, answer, this.#broker.leaseUntil(sequence)),
      answered: (sequence, reply, answer) => this.#ledger.answered(sequence, reply, answer),
      recordStored: (sequence, record) => this.#ledger.recordStored(sequence, record),
      recordUnread: (sequence) => this.#ledger.unread(sequence, name),
      recordFailed: (sequence) => this.#ledger.excused(sequence),
      letterStored: (letter, duplicate) => this.#ledger.letterStored(letter, name, duplicate),
    }
  }
}

function isHeld(link: ModelLink, now: number): boolean {
  return !link.connected || link.heldUntil > now
}

/** Whether the world differs, but for its sender, once this has arrived. */
function hasEffect({ kind, label }: Wire): boolean {
  if (kind === 'record') return !label.includes(': read of')
  return (kind === 'settle' && !label.includes('+WPI')) || kind === 'letter' || kind === 'forget'
}

function outcomeOf(ending: Ending): Outcome {
  if (ending === 'complete') return completed
  if (ending === 'snooze') return { kind: 'snoozed', delayMs: 500 }
  const error = { code: 'handler_error', message: 'it failed' }
  if (ending === 'permanent') return { kind: 'failed', error, steer: { kind: 'permanent' } }
  return { kind: 'failed', error }
}
