import { ownerKey } from '../core/control-keys.ts'
import { decodeOwner, encodeOwner, type OwnerState } from '../core/owner-record.ts'
import type { Clock } from './clock-port.ts'
import type { HandlerState } from './handler-state.ts'
import type { SharedState } from './shared-state-port.ts'

/** A handler without keyed jobs for so long is everybody's again. */
const idleMs = 5 * 60_000
/** After a request that failed. */
const againMs = 500
/** The same, when no keyed job waits for it; the watch would tell too. */
const idleAgainMs = 5_000

/** How a supervisor came to own a handler; how soon its keyed jobs may begin depends on that. */
export type Claim =
  /** Nobody did; others may hold jobs that they are giving back. */
  | 'unowned'
  /** The last owner stopped and had given everything back. */
  | 'released'
  /** The last owner fell silent; what it held comes back when its leases have run out. */
  | 'silent'

export interface OwnershipHooks {
  /** We take the jobs of this handler, and nobody else does. */
  owned(claim: Claim): void
  /** Somebody else takes them. `lost` when it was us until now: our running jobs with keys have to end. */
  onStandby(owner: string, lost: boolean): void
  /** Everybody takes them. */
  free(): void
  /** Whether we hold jobs of the handler that have keys, and whether any are running. */
  holdsKeys(): boolean
}

/**
 * Who takes the jobs of one handler whose jobs have keys: a lease in the control bucket.
 *
 * 1. Nobody owns a handler until a keyed job of it arrives; whoever sees one first writes its name there, and the
 *    others stand by.
 * 2. The owner writes its name again every third of the lease. It stops being the owner a lease after the last
 *    write that succeeded was sent, whatever the others do.
 * 3. The others look as often. When the record's revision has not changed for a lease by their own clock, the
 *    first to write its own name is the owner. No clock is compared with another machine's.
 * 4. An owner that stops writes so, and the next one takes over at once. After five minutes without keyed jobs
 *    it writes that the handler is everybody's again.
 *
 * Every write expects the revision that was read before it, so of two writers one is refused.
 */
export class Ownership {
  /** `unknown` until the record was read. */
  state: 'ours' | 'theirs' | 'free' | 'unknown' = 'unknown'
  readonly #handler: HandlerState
  readonly #key: string
  readonly #shared: SharedState
  readonly #clock: Clock
  readonly #supervisorId: string
  readonly #leaseMs: number
  readonly #hooks: OwnershipHooks
  #owner = ''
  #revision = -1
  /** On the monotonic clock; when that revision was first seen. */
  #seenAt = 0
  /** On the monotonic clock; until then nobody else takes over. */
  #oursUntil = 0
  #lastKeyedAt = 0
  #wanted = false
  #ended = false
  #stepping = false
  #stepAgain = false
  #cancelTimer: (() => void) | undefined
  #cancelLease: (() => void) | undefined

  constructor(
    handler: HandlerState,
    parts: { shared: SharedState; clock: Clock; supervisorId: string; leaseMs: number },
    hooks: OwnershipHooks,
  ) {
    this.#handler = handler
    this.#key = ownerKey(handler.profile.name)
    this.#shared = parts.shared
    this.#clock = parts.clock
    this.#supervisorId = parts.supervisorId
    this.#leaseMs = parts.leaseMs
    this.#hooks = hooks
  }

  /** Whether a keyed job may begin now. Asked for each of them, so asking makes the handler keyed. */
  mayBegin(): boolean {
    const now = this.#clock.monotonicMs()
    this.#lastKeyedAt = now
    if (this.state === 'ours') {
      if (now < this.#oursUntil) return true
      queueMicrotask(() => this.#checkLease())
    } else if (!this.#wanted) {
      this.#wanted = true
      this.step()
    }
    return false
  }

  /** The record has changed. */
  told(value: string | undefined): void {
    const record = decodeOwner(value)
    const asBefore = record?.state === 'held' && record.supervisor === this.#owner
    const known = this.state === 'free' ? !record || record.state === 'over' : asBefore
    if (!known) this.step()
  }

  /** Looks at the record, or renews it, now; does nothing twice at once. */
  step(): void {
    if (this.#ended) return
    if (this.#stepping) {
      this.#stepAgain = true
      return
    }
    this.#stepping = true
    this.#cancelTimer?.()
    void this.#stepOnce()
      .catch(() => this.#failed())
      .then((nextMs) => {
        this.#stepping = false
        if (this.#ended) return
        if (this.#stepAgain) {
          this.#stepAgain = false
          this.step()
        } else if (nextMs !== undefined) this.#cancelTimer = this.#clock.after(nextMs, () => this.step())
      })
  }

  /** Claims nothing any more; what is ours is renewed no longer. */
  end(): void {
    this.#ended = true
    this.#cancelTimer?.()
    this.#cancelLease?.()
  }

  /** Tells the others that they may have it, if it is ours. To be called when nothing of it is held here. */
  async release(): Promise<void> {
    this.end()
    if (this.state !== 'ours') return
    this.state = 'theirs'
    if ((await this.#write('released', this.#revision)) !== undefined) return
    const { value, revision } = await this.#shared.read(this.#key)
    if (decodeOwner(value)?.supervisor === this.#supervisorId) await this.#write('released', revision)
  }

  /** One request or two; answers when the next is due. */
  async #stepOnce(): Promise<number | undefined> {
    if (this.state !== 'ours') return this.#look()
    const now = this.#clock.monotonicMs()
    if (this.#checkLease()) return 0
    const { unable } = this.#handler
    const isIdle = now - this.#lastKeyedAt >= idleMs
    if ((unable || isIdle) && !this.#hooks.holdsKeys()) {
      // Before the write: what arrives while it is under way must wait for a new claim.
      this.#becomes(unable ? 'theirs' : 'free', '')
      await this.#write(unable ? 'released' : 'over', this.#revision)
      return unable ? this.#leaseMs / 3 : undefined
    }
    const revision = await this.#write('held', this.#revision)
    if (revision === undefined) return this.#refused()
    this.#renewed(revision, now)
    return this.#leaseMs / 3
  }

  async #look(): Promise<number | undefined> {
    const { value, revision } = await this.#shared.read(this.#key)
    const now = this.#clock.monotonicMs()
    if (revision !== this.#revision) {
      this.#revision = revision
      this.#seenAt = now
    }
    const record = decodeOwner(value)
    const silent = now - this.#seenAt >= this.#leaseMs
    if (!record || record.state === 'over') {
      if (this.#wanted && !this.#handler.unable) return this.#claim('unowned')
      this.#becomes('free', '')
      return undefined
    }
    const isReleased = record.state === 'released'
    // Our own name, although we are not the owner: we lost touch, and nobody has taken over.
    const isFor = isReleased || silent || record.supervisor === this.#supervisorId
    if (isFor && !this.#handler.unable) return this.#claim(isReleased ? 'released' : 'silent')
    // Nobody's, when it is one that we have let go of.
    this.#becomes('theirs', isReleased ? '' : record.supervisor)
    return this.#leaseMs / 3
  }

  async #claim(claim: Claim): Promise<number> {
    const sentAt = this.#clock.monotonicMs()
    const revision = await this.#write('held', this.#revision)
    // Somebody was faster.
    if (revision === undefined) return 0
    if (this.#ended) {
      await this.#write('released', revision)
      return 0
    }
    this.#renewed(revision, sentAt)
    this.#lastKeyedAt = sentAt
    this.#becomes('ours', this.#supervisorId, claim)
    return this.#leaseMs / 3
  }

  /** The record is not as we wrote it, unless the answer to an earlier write was lost. */
  async #refused(): Promise<number> {
    const { value, revision } = await this.#shared.read(this.#key)
    const record = decodeOwner(value)
    if (record?.state === 'held' && record.supervisor === this.#supervisorId) {
      this.#revision = revision
      return 0
    }
    this.#lose(record?.supervisor ?? '')
    return 0
  }

  #renewed(revision: number, sentAt: number): void {
    this.#revision = revision
    this.#seenAt = sentAt
    this.#oursUntil = sentAt + this.#leaseMs
    this.#cancelLease?.()
    this.#cancelLease = this.#clock.after(sentAt + this.#leaseMs - this.#clock.monotonicMs(), () =>
      this.#checkLease(),
    )
  }

  /** True when it was ours until now and is no longer. */
  #checkLease(): boolean {
    if (this.state !== 'ours' || this.#ended || this.#clock.monotonicMs() < this.#oursUntil) return false
    this.#lose('')
    this.step()
    return true
  }

  #lose(owner: string): void {
    if (this.state !== 'ours') return
    this.state = 'theirs'
    this.#owner = owner
    this.#hooks.onStandby(owner, true)
  }

  /** Nobody can say who owns it. Whoever has no keyed jobs may go on; the others wait. */
  #failed(): number | undefined {
    // What was not seen to change may have changed all the same.
    this.#seenAt = this.#clock.monotonicMs()
    if (this.state === 'ours') return Math.min(againMs, this.#leaseMs / 6)
    if (this.state === 'unknown') this.#becomes('free', '')
    return this.state === 'free' && !this.#wanted ? idleAgainMs : againMs
  }

  #becomes(state: 'ours' | 'theirs' | 'free', owner: string, claim: Claim = 'unowned'): void {
    const isNew = this.state !== state
    const ownerIsNew = this.#owner !== owner
    this.state = state
    this.#owner = owner
    this.#wanted = false
    if (state === 'ours') this.#hooks.owned(claim)
    else if (state === 'free' && isNew) this.#hooks.free()
    else if (state === 'theirs' && (isNew || ownerIsNew)) this.#hooks.onStandby(owner, false)
  }

  #write(state: OwnerState, revision: number): Promise<number | undefined> {
    const value = encodeOwner({ supervisor: this.#supervisorId, state })
    return this.#shared.write(this.#key, value, revision)
  }
}
