import { setTimeout as wait } from 'node:timers/promises'
import { JetStreamApiError, type JetStreamClient, jetstream } from '@nats-io/jetstream'
import { headers as createHeaders, type NatsConnection } from '@nats-io/transport-node'
import { machineMs, type Publication } from './evidence.ts'
import { type PlannedJob, planJob } from './planned-job.ts'
import type { Random } from './random.ts'

const publishMs = 1_500
const mostOnTheirWay = 100
/** A broker that refuses does so at once. */
const againMs = 100

/** How fast to publish. */
export interface Pace {
  readonly perSecond: number
  readonly mostOpen: number
  /** How often jobs do nothing but return, see `evenShare`. */
  readonly quick: number
  /** How many have not ended. */
  open(): Promise<number>
}

/** Publishes jobs, and notes of each whether the broker has it. */
export class Load {
  readonly publications = new Map<string, Publication>()
  readonly #nc: NatsConnection
  readonly #js: JetStreamClient
  readonly #random: Random
  readonly #onTheirWay = new Set<Promise<void>>()
  #count = 0
  #accepted = 0
  #mostOpen = 0
  #stopped = false
  #running: Promise<void> = Promise.resolve()

  constructor(nc: NatsConnection, random: Random) {
    this.#nc = nc
    this.#js = jetstream(nc)
    this.#random = random
  }

  /** How many jobs the broker has accepted. */
  get accepted(): number {
    return this.#accepted
  }

  /** No more are published while so many have not ended. */
  get mostOpen(): number {
    return this.#mostOpen
  }

  /** How many of the load have been published, accepted or not. */
  get count(): number {
    return this.#count
  }

  /**
   * Publishes so many a second until `stop`. While more than `mostOpen` have not ended
   * it waits, so that a slow machine has no backlog before the job that a test waits for.
   */
  start(pace: Pace): void {
    const { perSecond, mostOpen, quick, open } = pace
    this.#mostOpen = mostOpen
    const startedAt = machineMs()
    const countBefore = this.#count
    this.#running = (async () => {
      while (!this.#stopped) {
        const due = countBefore + ((machineMs() - startedAt) * perSecond) / 1_000
        const room = Math.max(0, mostOpen - (await open()))
        const until = Math.min(due, this.#count + room)
        while (this.#count < until && !this.#stopped) {
          while (this.#onTheirWay.size >= mostOnTheirWay) await Promise.race(this.#onTheirWay)
          this.#send(planJob(this.#random, this.#count, quick))
          this.#count += 1
        }
        await wait(room > 0 ? 10 : 50)
      }
    })()
  }

  /** Publishes one job besides, until the broker has it. */
  async publish(job: PlannedJob): Promise<void> {
    const publication = this.#note(job)
    for (;;) {
      await this.#attempt(publication)
      if (publication.state === 'accepted') return
      if (this.#nc.isClosed()) throw new Error("the load's connection is closed")
      await wait(againMs)
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    await Promise.all(this.#onTheirWay)
  }

  #note(job: PlannedJob): Publication {
    const publication: Publication = { job, sentAt: machineMs(), state: undefined }
    this.publications.set(job.id, publication)
    return publication
  }

  #send(job: PlannedJob): void {
    const sent = this.#attempt(this.#note(job)).finally(() => this.#onTheirWay.delete(sent))
    this.#onTheirWay.add(sent)
  }

  /** Not repeated when nobody can tell: the broker may have forgotten the id of a job that is done. */
  async #attempt(publication: Publication): Promise<void> {
    const { job } = publication
    const headers = createHeaders()
    for (const [name, value] of Object.entries(job.headers)) headers.set(name, value)
    try {
      await this.#js.publish(job.subject, job.body, { msgID: job.id, headers, timeout: publishMs })
      publication.state = 'accepted'
      this.#accepted += 1
    } catch (error) {
      publication.state = error instanceof JetStreamApiError ? 'refused' : undefined
      if (this.#nc.isClosed()) this.#stopped = true
    }
  }
}
