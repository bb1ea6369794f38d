import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream'
import type { NatsConnection, Subscription } from '@nats-io/transport-node'
import type { Names, Priority } from '../core/names.ts'
import { subscriber } from './subscriber.ts'

/** The priorities whose consumers are made when the first job is there. */
export const rarePriorities = ['high', 'low'] as const satisfies readonly Priority[]
export type RarePriority = (typeof rarePriorities)[number]

/** How often the streams are looked at, on average, for what nobody told us of. */
const lookMs = 5_000
const streamMissing = 10059

/**
 * Notices which handlers have high or low jobs, so that the others cost no consumer and no pull.
 *
 * 1. Until the first job of a handler and priority is there, we listen on its subject for one message. It is
 *    only a hint: the stream keeps the job, and a hint that is missed, or not permitted, does no harm.
 * 2. At start, on each new connection and about every 5 s the subjects of the two streams are looked at.
 * 3. What was noticed once stays noticed.
 */
export class PrioritySources {
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #names: Names
  readonly #unnoticed: Readonly<Record<RarePriority, Map<string, string>>>
  /** Handlers that have, or had, jobs of this priority. */
  readonly noticed: Readonly<Record<RarePriority, Set<string>>> = { high: new Set(), low: new Set() }
  readonly #onNoticed: (handler: string, priority: RarePriority) => void
  readonly #hints = new Set<Subscription>()
  #timer: NodeJS.Timeout | undefined
  #looking = false
  #started = false
  #closed = false

  /** @param parts.onNoticed - told once for each handler and priority, when there are jobs. */
  constructor(parts: {
    nc: NatsConnection
    jsm: JetStreamManager
    names: Names
    handlers: readonly string[]
    onNoticed: (handler: string, priority: RarePriority) => void
  }) {
    this.#nc = parts.nc
    this.#jsm = parts.jsm
    this.#names = parts.names
    this.#onNoticed = parts.onNoticed
    const bySubject = (priority: RarePriority): Map<string, string> =>
      new Map(parts.handlers.map((handler) => [parts.names.jobSubject(handler, priority), handler]))
    this.#unnoticed = { high: bySubject('high'), low: bySubject('low') }
  }

  /** Begins to listen and to look. */
  async start(): Promise<void> {
    this.#started = true
    this.look()
    for (const priority of rarePriorities) await this.#listen(priority)
  }

  /** Looks now, and from then on again and again; nothing before `start`, because nobody could be told. */
  look(): void {
    clearTimeout(this.#timer)
    if (!this.#started || this.#closed || this.#looking) return
    this.#looking = true
    void this.#look().finally(() => {
      this.#looking = false
      if (this.#closed || rarePriorities.every((priority) => this.#unnoticed[priority].size === 0)) return
      // Supervisors that were started together need not ask together.
      this.#timer = setTimeout(() => this.look(), lookMs * (0.75 + Math.random() / 2))
    })
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    for (const hint of this.#hints) hint.unsubscribe()
    this.#hints.clear()
  }

  async #look(): Promise<void> {
    for (const priority of rarePriorities) {
      const unnoticed = this.#unnoticed[priority]
      if (unnoticed.size === 0 || this.#nc.isClosed()) continue
      try {
        const query = { subjects_filter: this.#names.subjectsOf(priority) }
        const { state } = await this.#jsm.streams.info(this.#names.streamOf(priority), query)
        for (const subject of Object.keys(state.subjects ?? {})) this.#notice(priority, subject)
      } catch (error) {
        // Without the stream there are no such jobs. Whatever else it is: the next look comes.
        if (error instanceof JetStreamApiError && error.code === streamMissing) continue
        return
      }
    }
  }

  /** The first subject tells whether we may listen at all: one complaint in the log is enough. */
  async #listen(priority: RarePriority): Promise<void> {
    for (const subject of [...this.#unnoticed[priority].keys()]) {
      if (this.#closed || this.#nc.isClosed()) return
      const hint = this.#nc.subscribe(subject, {
        max: 1,
        callback: subscriber((error) => {
          this.#hints.delete(hint)
          if (!error && !this.#closed) this.#notice(priority, subject)
        }),
      })
      const isFirst = this.#hints.size === 0
      this.#hints.add(hint)
      if (!isFirst) continue
      await this.#nc.flush().catch(() => {})
      if (hint.isClosed() && this.#unnoticed[priority].has(subject)) return
    }
  }

  #notice(priority: RarePriority, subject: string): void {
    const handler = this.#unnoticed[priority].get(subject)
    if (handler === undefined) return
    this.#unnoticed[priority].delete(subject)
    this.noticed[priority].add(handler)
    this.#onNoticed(handler, priority)
  }
}
