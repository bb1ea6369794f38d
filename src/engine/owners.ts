import { controlPrefixes } from '../core/control-keys.ts'
import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlight } from './in-flight.ts'
import type { JobLife } from './job-life.ts'
import type { KeyGate } from './key-gate.ts'
import type { Observer } from './observer-port.ts'
import { type Claim, Ownership } from './ownership.ts'
import { QuietWait } from './quiet-wait.ts'
import type { SharedState } from './shared-state-port.ts'

/** An owner that says nothing for so long has lost its handlers; less when the ack wait is shorter. */
const longestLeaseMs = 5_000
const shortestLeaseMs = 1_000
/** What others are giving back is back by then, and what was told to end has ended after its grace. */
const handOverMs = 3_000
/** On top of the ack wait and the grace, until nothing of a silent owner can be running or come back. */
const spareMs = 1_000
const releaseLookMs = 50

export interface OwnersParts {
  readonly shared: SharedState
  readonly broker: Broker
  readonly clock: Clock
  readonly observer: Observer
  readonly inFlight: InFlight
  readonly life: JobLife
  readonly gate: KeyGate
  readonly supervisorId: string
  readonly ackWaitMs: number
  readonly handlers: readonly HandlerState[]
  roomChanged(handler: HandlerState): void
}

interface Owned {
  readonly handler: HandlerState
  readonly lease: Ownership
  readonly quiet: QuietWait
}

/**
 * Which handlers this supervisor takes jobs of.
 *
 * 1. At the start nothing of a handler is pulled before its record was read.
 * 2. On stand-by, everything that has not begun is given back and nothing is pulled.
 * 3. As the owner, the key gate is opened when nothing of the handler is elsewhere any more.
 * 4. Who loses a handler against its will ends its running jobs with keys, at the latest after their grace.
 * 5. At a stop, a handler is released as soon as nothing of it is held here.
 */
export class Owners {
  readonly #parts: OwnersParts
  readonly #all = new Map<HandlerState, Owned>()
  readonly #longestGraceMs: number
  #endWatch: (() => void) | undefined
  /** On the monotonic clock. */
  #reconnectedAt = Number.NEGATIVE_INFINITY

  constructor(parts: OwnersParts) {
    this.#parts = parts
    this.#longestGraceMs = Math.max(0, ...parts.handlers.map(({ profile }) => profile.graceMs))
    for (const handler of parts.handlers) this.#all.set(handler, this.#own(handler))
  }

  begin(): void {
    for (const { handler, lease } of this.#all.values()) {
      handler.undecided = true
      lease.step()
    }
    const byKey = new Map(
      [...this.#all.values()].map(({ handler, lease }) => [
        `${controlPrefixes.owner}.${handler.profile.name}`,
        lease,
      ]),
    )
    this.#endWatch = this.#parts.shared.watch(controlPrefixes.owner, (key, value) =>
      byKey.get(key)?.told(value),
    )
  }

  /** To be called on a new connection. */
  reconnected(): void {
    this.#reconnectedAt = this.#parts.clock.monotonicMs()
  }

  mayBegin(handler: HandlerState): boolean {
    return this.#all.get(handler)!.lease.mayBegin()
  }

  /** Jobs went back to the broker, and later ones may come again before them: the gate is closed until then. */
  disturbed(handler: HandlerState, leaseLost: boolean): void {
    const { lease, quiet } = this.#all.get(handler)!
    if (lease.state !== 'ours') return
    this.#parts.gate.close(handler)
    quiet.begin(leaseLost ? this.#silentMs() : this.#handOverMs())
  }

  /** 1 for each handler that we own, 0 for each on stand-by; none for those without keys. */
  *standing(): Generator<readonly [handler: string, owned: number]> {
    for (const { handler, lease } of this.#all.values()) {
      if (lease.state === 'ours') yield [handler.profile.name, 1]
      else if (lease.state === 'theirs') yield [handler.profile.name, 0]
    }
  }

  /** Resolves when every handler that we own is released, or `limit` has come. */
  async leave(limit: Promise<void>): Promise<void> {
    this.#endWatch?.()
    let isOver = false
    void limit.then(() => {
      isOver = true
    })
    const leaving = [...this.#all.values()]
    for (const { lease, quiet } of leaving) {
      quiet.stop()
      if (lease.state !== 'ours') lease.end()
    }
    const releasing: Promise<void>[] = []
    let left = leaving.filter(({ lease }) => lease.state === 'ours')
    while (left.length > 0 && !isOver) {
      const held = new Set([...this.#parts.inFlight.all()].map((job) => job.handler))
      // An open pull could still bring a job, which would come back out of order to the next owner.
      const isEmpty = ({ handler }: Owned): boolean => !held.has(handler) && handler.credit === 0
      for (const { lease } of left.filter(isEmpty)) releasing.push(lease.release().catch(() => {}))
      left = left.filter((owned) => !isEmpty(owned))
      if (left.length > 0) {
        await Promise.race([
          limit,
          new Promise<void>((resolve) => this.#parts.clock.after(releaseLookMs, resolve)),
        ])
      }
    }
    for (const { lease } of left) lease.end()
    await Promise.race([limit, Promise.all(releasing)])
  }

  #own(handler: HandlerState): Owned {
    const { shared, clock, broker, inFlight, supervisorId, ackWaitMs, gate } = this.#parts
    const leaseMs = Math.min(longestLeaseMs, Math.max(shortestLeaseMs, ackWaitMs / 2))
    const lease = new Ownership(
      handler,
      { shared, clock, supervisorId, leaseMs },
      {
        owned: (claim) => this.#owned(handler, claim),
        onStandby: (owner, lost) => this.#onStandby(handler, owner, lost),
        free: () => this.#free(handler),
        holdsKeys: () => gate.holdsKeys(handler),
      },
    )
    const quiet = new QuietWait(
      handler,
      { broker, clock, inFlight, reconnectedAt: () => this.#reconnectedAt },
      () => gate.open(handler),
    )
    return { handler, lease, quiet }
  }

  #owned(handler: HandlerState, claim: Claim): void {
    const { observer, roomChanged } = this.#parts
    observer.handlerOwned(handler.profile.name, claim)
    handler.undecided = false
    handler.standby = false
    roomChanged(handler)
    this.#all.get(handler)!.quiet.begin(claim === 'silent' ? this.#silentMs() : this.#handOverMs())
  }

  #onStandby(handler: HandlerState, owner: string, lost: boolean): void {
    const { gate, life, observer } = this.#parts
    if (owner !== '') observer.handlerOnStandby(handler.profile.name, owner)
    handler.undecided = false
    handler.standby = true
    this.#all.get(handler)!.quiet.stop()
    gate.close(handler)
    life.beginning.giveBack(handler)
    if (lost) for (const job of gate.activeOf(handler)) life.interruption.evict(job)
  }

  #free(handler: HandlerState): void {
    handler.undecided = false
    handler.standby = false
    this.#all.get(handler)!.quiet.stop()
    this.#parts.gate.close(handler)
    this.#parts.roomChanged(handler)
  }

  #handOverMs(): number {
    return handOverMs + this.#longestGraceMs
  }

  /** After so long a silent owner has ended its jobs, and what it held has come back to the broker. */
  #silentMs(): number {
    return this.#parts.ackWaitMs + this.#longestGraceMs + spareMs
  }
}
