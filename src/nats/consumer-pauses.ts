import { type ConsumerInfo, JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream'
import { consumerName } from '../core/names.ts'
import { isUnserved } from './unserved.ts'

/**
 * Until when we pause consumers: for ever, as far as anybody is concerned. A consumer that is paused until
 * this very instant was paused by a supervisor, one that is paused until another one by somebody else.
 */
export const pausedUntil = new Date('2200-01-01T00:00:00.000Z')
/** Since this level of its API a server can pause consumers. */
const pauseLevel = 1
const againMs = 5_000
/** Once something was paused: a supervisor that died half-way may have left a consumer as it should not be. */
const lookAgainMs = 60_000
const streamMissing = 10059
const consumerMissing = 10014

/**
 * Pauses the consumers of paused handlers at the server, too, where it can do that.
 *
 * It is a second fence: supervisors do not pull what is paused, whether the server knows or not. Several
 * supervisors may do it at once, because each looks first. What could not be said is said again.
 */
export class ConsumerPauses {
  readonly #jsm: JetStreamManager
  readonly #streams: readonly string[]
  readonly #manage: boolean
  readonly #failed: (handler: string, error: unknown) => void
  readonly #wanted = new Map<string, boolean>()
  #serverCan: Promise<boolean> | undefined
  #working = false
  #again = false
  #hasPaused = false
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** @param manage - whether to pause. A pause of ours that is left over is always lifted. */
  constructor(
    jsm: JetStreamManager,
    streams: readonly string[],
    manage: boolean,
    failed: (handler: string, error: unknown) => void,
  ) {
    this.#jsm = jsm
    this.#streams = streams
    this.#manage = manage
    this.#failed = failed
  }

  set(handler: string, paused: boolean): void {
    if (paused) this.#hasPaused = true
    this.#wanted.set(handler, paused)
    this.repeat()
  }

  /** Looks at all of them again, because consumers were made anew or the server may be another one. */
  repeat(): void {
    this.#again = true
    this.#serverCan = undefined
    if (!this.#working) void this.#work()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  async #work(): Promise<void> {
    this.#working = true
    let hasFailed = false
    while (this.#again && !this.#closed) {
      this.#again = false
      hasFailed = await this.#reconcileAll()
    }
    if (hasFailed) this.#repeatIn(againMs)
    else if (this.#hasPaused) this.#repeatIn(lookAgainMs)
    this.#working = false
  }

  /** One consumer that no server answers for keeps no other from being looked at; a server that does not answer does. */
  async #reconcileAll(): Promise<boolean> {
    let hasFailed = false
    for (const [handler, paused] of [...this.#wanted]) {
      for (const stream of this.#streams) {
        if (this.#closed) return hasFailed
        try {
          await this.#reconcile(stream, handler, paused)
        } catch (error) {
          // Nothing is to be done yet where nothing is to be paused.
          if (!this.#closed && (paused || !isUnserved(error))) this.#failed(handler, error)
          if (!(error instanceof JetStreamApiError)) return true
          hasFailed = true
        }
      }
    }
    return hasFailed
  }

  #repeatIn(delayMs: number): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => this.repeat(), delayMs)
    this.#timer.unref()
  }

  async #reconcile(stream: string, handler: string, paused: boolean): Promise<void> {
    if (paused && !(this.#manage && (await this.#canPause()))) return
    const name = consumerName(handler)
    const found = await this.#look(stream, name)
    if (!found || this.#wanted.get(handler) !== paused) return
    if (paused && !found.paused) await this.#jsm.consumers.pause(stream, name, pausedUntil)
    else if (!paused && isOurs(found)) await this.#jsm.consumers.resume(stream, name)
  }

  async #look(stream: string, name: string): Promise<ConsumerInfo | undefined> {
    try {
      return await this.#jsm.consumers.info(stream, name)
    } catch (error) {
      if (error instanceof JetStreamApiError && [streamMissing, consumerMissing].includes(error.code))
        return undefined
      throw error
    }
  }

  /** Servers that cannot pause do not say a level at all. */
  #canPause(): Promise<boolean> {
    this.#serverCan ??= this.#jsm.getAccountInfo().then(({ api }) => {
      const { level } = api as { level?: number }
      return level !== undefined && level >= pauseLevel
    })
    return this.#serverCan
  }
}

function isOurs({ paused, config }: ConsumerInfo): boolean {
  return paused === true && Date.parse(config.pause_until ?? '') === pausedUntil.getTime()
}
