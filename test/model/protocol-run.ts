import { type Ending, handlerName, type ModelRun, type ModelSupervisor, times } from './model-supervisor.ts'
import { isHeld, ModelWorld, type ProtocolOptions } from './model-world.ts'
import type { FaultKind } from './protocol-ledger.ts'
import { settled } from './turns.ts'
import type { Wire } from './wires.ts'

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
/** A run that is not over by then will never be. */
const longestMs = 30 * 60_000

/** One run of the protocol: what can happen next in the world of the model, of which a chooser picks. */
export class ProtocolRun {
  readonly #options: ProtocolOptions
  readonly #choose: Chooser
  readonly #world: ModelWorld
  readonly #asked = new Map<number, number>()
  #faultsLeft: number
  /** How often each label was offered, so that no two in a run are the same. */
  readonly #offered = new Map<string, number>()

  constructor(options: ProtocolOptions, choose: Chooser) {
    this.#options = options
    this.#choose = choose
    this.#faultsLeft = options.faults
    this.#world = new ModelWorld(options)
  }

  async execute(): Promise<RunReport> {
    this.#world.begin()
    await settled()
    let steps = 0
    while (this.#world.ledger.violations.length === 0) {
      this.#world.observe()
      if (this.#world.isOver()) {
        this.#world.ledger.close()
        break
      }
      steps += 1
      this.#world.ledger.step = steps
      if (steps > stepLimit || this.#world.clock.nowMs > longestMs) {
        this.#world.ledger.violations.push('G1: it does not come to an end')
        break
      }
      const choices = this.#choices()
      const choice =
        choices.length === 1 ? choices[0]! : this.#choose(choices.map((each) => this.#unique(each)))
      if (!choice.isTime)
        this.#world.tell(choice.fault ? `${choice.label}  <- ${choice.fault}` : choice.label)
      if (choice.fault) {
        this.#faultsLeft -= 1
        this.#world.ledger.struck(choice.fault)
      }
      this.#world.crashPoint = undefined
      choice.act()
      await settled()
    }
    for (const supervisor of this.#world.supervisors) supervisor.end(this.#world.clock)
    return { violations: this.#world.ledger.violations, trace: this.#world.trace, steps }
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
    const now = this.#world.clock.nowMs
    for (const supervisor of this.#world.supervisors) {
      if (!supervisor.stopped) continue
      enabled.push({
        choices: [{ label: `${supervisor.name} has stopped`, act: () => this.#world.replace(supervisor) }],
      })
    }
    for (const { link, name } of this.#world.supervisors) {
      if (link.connected || link.heldUntil > now) continue
      enabled.push({
        choices: [{ label: `${name} is connected again`, act: () => this.#world.restore(link) }],
      })
    }
    for (const supervisor of this.#world.supervisors) {
      const lane = supervisor.timers.frozen ? undefined : supervisor.endedLane
      if (!lane) continue
      enabled.push({
        choices: [
          {
            label: `${supervisor.name}: its thread ends`,
            act: () => this.#world.endLane(supervisor, lane, 'hang'),
          },
        ],
      })
    }
    if (this.#world.clock.nextAt <= now)
      enabled.push({
        choices: [{ label: 'a timer fires', isTime: true, act: () => this.#world.clock.fire() }],
      })
    for (const { supervisor, wire, queue } of this.#heads()) {
      enabled.push({ of: supervisor, choices: this.#moves(supervisor, wire, queue) })
    }
    if (this.#world.broker.hasNext(handlerName)) {
      const takers = this.#world.supervisors.filter(
        ({ link, stopped }) => link.credit > 0 && !isHeld(link, now) && !stopped,
      )
      const choices = takers
        .filter((supervisor) => !supervisor.timers.frozen)
        .map((supervisor) => ({
          label: `the broker delivers to ${supervisor.name}`,
          act: () => this.#world.deliver(supervisor),
        }))
      if (choices.length > 0) enabled.push({ choices })
    }
    for (const supervisor of this.#world.supervisors) {
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
    for (const supervisor of this.#world.supervisors) {
      const { link, timers } = supervisor
      if (isHeld(link, this.#world.clock.nowMs)) continue
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
        if (wire.reply !== undefined) this.#world.ledger.arrived(wire.sequence!, wire.reply)
        wire.arrive()
        if (hasEffect(wire)) this.#world.crashPoint = supervisor
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
            this.#world.lost(wire)
          },
        })
      }
    } else if (this.#explores('answer loss') && wire.kind.endsWith('answer')) {
      choices.push({
        label: `lost: ${wire.label}`,
        fault: 'answer loss',
        act: () => {
          queue.shift()
          this.#world.lost(wire)
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
      .filter((ending) => ending !== 'snooze' || this.#world.snoozes < 1)
      .map((ending) => ({
        label: `${supervisor.name}: attempt ${run.job.attempt} of job ${sequence} ends: ${ending}`,
        act: () => {
          this.#asked.set(sequence, asked + 1)
          this.#world.end(supervisor, run, ending)
        },
      }))
  }

  /** What can strike now, besides the loss of a message. */
  #faults(usual: readonly { of?: ModelSupervisor }[]): Choice[] {
    const faults: Choice[] = []
    const point = this.#world.crashPoint
    if (point && this.#world.supervisors.includes(point)) {
      if (this.#explores('crash')) {
        faults.push({ label: `${point.name} is killed`, fault: 'crash', act: () => this.#world.crash(point) })
      }
      if (this.#explores('broker kill')) {
        faults.push({
          label: 'the broker is killed',
          fault: 'broker kill',
          act: () => this.#world.killBroker(),
        })
      }
    }
    // Where nothing of a process can move or end, a fault of its connection is one of a moment later.
    const supervisor = usual[0]?.of
    if (!supervisor) return faults
    const { link, timers, name } = supervisor
    const later = this.#world.clock.nowMs + times.ackWaitMs + 1
    if (this.#explores('stop') && !supervisor.stopping) {
      faults.push({ label: `${name} is told to stop`, fault: 'stop', act: () => supervisor.stop() })
    }
    if (this.#explores('drop') && link.connected) {
      for (const [how, until] of [
        ['for a moment', this.#world.clock.nowMs],
        ['until all is quiet', Number.POSITIVE_INFINITY],
        ['for longer than the ack wait', later],
      ] as const) {
        faults.push({
          label: `the connection of ${name} breaks ${how}`,
          fault: 'drop',
          act: () => this.#world.drop(supervisor, until),
        })
      }
    }
    if (this.#explores('stall') && link.connected && !isHeld(link, this.#world.clock.nowMs)) {
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
          this.#world.brokerTime.after(times.ackWaitMs + 1, () => {
            timers.frozen = false
          })
        },
      })
    }
    return faults
  }

  #timePasses(): Choice {
    const now = this.#world.clock.nowMs
    for (const { link, name } of this.#world.supervisors) {
      if (link.connected || link.heldUntil < Number.POSITIVE_INFINITY) continue
      return { label: `${name} is connected again`, act: () => this.#world.restore(link) }
    }
    let next = Math.min(this.#world.clock.nextAt, Math.max(now, this.#world.broker.nextAt))
    if (this.#world.broker.nextAt <= now) next = this.#world.clock.nextAt
    for (const { link } of this.#world.supervisors) {
      if (link.heldUntil > now) next = Math.min(next, link.heldUntil)
    }
    return {
      label: `${next - now} ms pass`,
      isTime: true,
      act: () => {
        this.#world.clock.nowMs = next
      },
    }
  }

  #explores(kind: FaultKind): boolean {
    return this.#faultsLeft > 0 && this.#options.kinds.includes(kind)
  }

  #unique(choice: Choice): Choice {
    const count = (this.#offered.get(choice.label) ?? 0) + 1
    this.#offered.set(choice.label, count)
    return count === 1 ? choice : { ...choice, label: `${choice.label} (${count})` }
  }
}

/** Whether the world differs, but for its sender, once this has arrived. */
function hasEffect({ kind, label }: Wire): boolean {
  if (kind === 'record') return !label.includes(': read of')
  return (kind === 'settle' && !label.includes('+WPI')) || kind === 'letter' || kind === 'forget'
}
