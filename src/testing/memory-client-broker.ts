import { MillraceError } from '../core/errors.ts'
import { decodeOutcome, type JobOutcome } from '../core/job-outcome.ts'
import { type Names, priorities } from '../core/names.ts'
import type { ClientPort } from '../nats/client-broker.ts'
import type { MemoryJobStore } from './memory-job-store.ts'
import type { MemorySharedState } from './memory-shared-state.ts'

type Publication = Parameters<ClientPort['publish']>[0]
type Stored = Awaited<ReturnType<ClientPort['publish']>>

/** What a client of the broker in memory needs besides. */
export interface MemoryClientParts {
  readonly store: MemoryJobStore
  readonly shared: MemorySharedState
  readonly names: Names
}

/**
 * The broker in memory as a client sees it: it takes jobs, pauses and cancels, and tells outcomes and progress. What
 * operators do with dead letters, retries and queues needs a real server.
 */
export class MemoryClientBroker implements ClientPort {
  readonly #parts: MemoryClientParts
  readonly #listeners = new Set<(subject: string, text: string) => void>()

  constructor(parts: MemoryClientParts) {
    this.#parts = parts
  }

  get deadLetters(): never {
    throw unsupported('client.deadLetters')
  }

  get attempts(): never {
    throw unsupported('client.retries')
  }

  async publish(publication: Publication): Promise<Stored> {
    return this.#store(publication)
  }

  send(publication: Publication, _timeoutMs: number, owner: Parameters<ClientPort['send']>[2], tag: number) {
    queueMicrotask(() => owner.stored(tag, publication, this.#store(publication), 0))
    return 0
  }

  release(): void {}

  async setControl(key: string, value: string | undefined): Promise<void> {
    if (value === undefined) this.#parts.shared.delete(key)
    else this.#parts.shared.put(key, value)
  }

  async control(prefix: string): Promise<{ key: string; value: string }[]> {
    return [...this.#parts.shared.entries].flatMap(([key, { value }]) =>
      key.startsWith(`${prefix}.`) && value !== undefined ? [{ key, value }] : [],
    )
  }

  async depth(): Promise<never> {
    throw unsupported('client.queues')
  }

  async ask(): Promise<never> {
    throw unsupported('client.where')
  }

  async outcome(jobId: string): Promise<JobOutcome | undefined> {
    const entry = this.#parts.store.outcomes.get(jobId)
    return entry === undefined ? undefined : decodeOutcome(entry)
  }

  onOutcome(jobId: string, callback: () => void): () => void {
    return this.#parts.store.onOutcome(jobId, callback)
  }

  onEvent(subject: string, callback: (subject: string, text: string) => void): () => void {
    const all = subject.endsWith('>')
    const listener = (at: string, text: string): void => {
      if (all || at === subject) callback(at, text)
    }
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** An event, for whoever listens. */
  tell(subject: string, text: string): void {
    for (const listener of [...this.#listeners]) listener(subject, text)
  }

  async newest(): Promise<never> {
    throw unsupported('client.ticks and client.runSchedule')
  }

  #store(publication: Publication): Stored {
    const { store, names } = this.#parts
    const { subject, id, headers, data } = publication
    const stream = names.streamOfSubject(subject)
    const priority = priorities.find((each) => names.streamOf(each) === stream) ?? 'normal'
    const { sequence, duplicate } = store.publish({
      handler: subject.slice(names.jobSubject('', priority).length),
      priority,
      id,
      headers,
      data: typeof data === 'string' ? Buffer.from(data) : data,
    })
    return { stream: publication.stream, sequence, duplicate }
  }
}

function unsupported(what: string): MillraceError {
  return new MillraceError(
    'broker_request_failed',
    `the broker in memory has no ${what}; ask the test queue itself, or use startTestBroker`,
  )
}
