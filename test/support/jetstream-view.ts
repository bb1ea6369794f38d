import {
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream'
import {
  connect,
  headers as createHeaders,
  deadline,
  type MsgHdrs,
  type NatsConnection,
  type NodeConnectionOptions,
} from '@nats-io/transport-node'
import { eventually, GiveUp } from './eventually.ts'

const messageMissing = 10037
/** How long a server may take to answer. */
const answerMs = 10_000

/** A dead letter as `nats stream get JOBS_DEAD` shows it. */
export interface DeadLetter {
  sequence: number
  /** Epoch milliseconds, by the clock of the server. */
  storedAtMs: number
  subject: string
  body: Uint8Array
  /** Exactly as stored; a header that was repeated holds its values joined with `|`. */
  headers: Record<string, string>
  reason: string
  jobId: string
  history: Record<string, unknown>[]
}

type Body = string | Uint8Array | object
type Headers = Record<string, string | string[]>

/**
 * The broker as an application and an operator see it, with a plain NATS client: nothing here uses
 * Millrace, so that what these tests enqueue and read is the contract on the wire.
 */
export class JetStreamView {
  readonly nc: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  readonly #namespace: string

  private constructor(nc: NatsConnection, jsm: JetStreamManager, namespace: string) {
    this.nc = nc
    this.jsm = jsm
    this.js = jetstream(nc)
    this.#namespace = namespace
  }

  static async connect(
    url: string,
    namespace = 'jobs',
    more: NodeConnectionOptions = {},
    /** A request that is lost with its connection takes that long to fail. */
    requestMs = 10_000,
  ): Promise<JetStreamView> {
    // A server that stood still tells whoever comes that they took too long to log in; twice would end it for good.
    const always = {
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      ignoreAuthErrorAbort: true,
      name: 'test',
    }
    const nc = await connect({ servers: url.split(','), ...always, ...more })
    const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: requestMs })
    return new JetStreamView(nc, jsm, namespace)
  }

  get stream(): string {
    return this.#namespace.toUpperCase()
  }

  get deadStream(): string {
    return `${this.stream}_DEAD`
  }

  /** Enqueues as `nats pub` does and waits until it is stored; returns the job's id. */
  async enqueue(
    handler: string,
    body: Body,
    options: { id?: string; headers?: Headers; priority?: 'high' | 'low' } = {},
  ): Promise<string> {
    const all = { ...options.headers, ...(options.id === undefined ? {} : { 'Nats-Msg-Id': options.id }) }
    const prefix = options.priority === undefined ? '' : `${options.priority}.`
    // What is published before the client has noticed that a connection is gone, or is back, is lost without a word.
    await eventually('the connection is up', async () => {
      if (this.nc.isClosed()) throw new GiveUp('the connection of the test is closed')
      await deadline(this.nc.flush(), answerMs)
      return true
    })
    const stored = await this.js.publish(`${prefix}${this.#namespace}.${handler}`, encode(body), {
      ...(Object.keys(all).length === 0 ? {} : { headers: toHeaders(all) }),
      timeout: answerMs,
    })
    return options.id ?? `${stored.stream}:${stored.seq}`
  }

  /** Enqueues many jobs, several on their way at once. */
  async enqueueAll(
    handler: string,
    bodies: Body[],
    options: { headers?: Headers; priority?: 'high' | 'low' } = {},
  ): Promise<string[]> {
    const ids: string[] = []
    for (let from = 0; from < bodies.length; from += 100) {
      const some = bodies.slice(from, from + 100)
      ids.push(...(await Promise.all(some.map((body) => this.enqueue(handler, body, options)))))
    }
    return ids
  }

  /** Messages left in the job stream, or another one. */
  async jobsLeft(stream = this.stream): Promise<number> {
    return (await this.jsm.streams.info(stream)).state.messages
  }

  drained(withinMs?: number): Promise<void> {
    return this.leaves(0, withinMs)
  }

  /** Waits until so many jobs are left; an ack that a supervisor has counted may still be on its way. */
  async leaves(jobs: number, withinMs?: number): Promise<void> {
    await this.streamLeaves(this.stream, jobs, withinMs)
  }

  async streamLeaves(stream: string, jobs: number, withinMs?: number): Promise<void> {
    await eventually(
      `the stream ${stream} holds ${jobs}`,
      async () => {
        const left = await this.jobsLeft(stream)
        if (left !== jobs) throw new Error(`it holds ${left}`)
        return true
      },
      withinMs,
    )
  }

  async deadLetters(): Promise<DeadLetter[]> {
    const { state } = await this.jsm.streams.info(this.deadStream)
    const found: DeadLetter[] = []
    for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
      const letter = await this.deadLetterAt(seq)
      if (letter) found.push(letter)
    }
    return found
  }

  /** Undefined when it was deleted. */
  async deadLetterAt(seq: number): Promise<DeadLetter | undefined> {
    const stored = await this.jsm.streams.getMessage(this.deadStream, { seq }).catch((error: unknown) => {
      // A cluster that has no leader just now answers with another error, and the letter is there.
      if (error instanceof JetStreamApiError && error.code === messageMissing) return null
      throw error
    })
    if (stored === null) return undefined
    const headers = fromHeaders(stored.header)
    return {
      sequence: seq,
      storedAtMs: stored.time.getTime(),
      subject: stored.subject,
      body: stored.data,
      headers,
      reason: headers['Millrace-Dead-Reason'] ?? '',
      jobId: headers['Millrace-Job-Id'] ?? '',
      history: JSON.parse(headers['Millrace-History'] ?? 'null') as Record<string, unknown>[],
    }
  }

  /** Waits for the dead letter of a job. */
  async deadLetter(jobId: string, withinMs?: number): Promise<DeadLetter> {
    return eventually(
      `a dead letter of ${jobId}`,
      async () => {
        const all = await this.deadLetters()
        const found = all.find((letter) => letter.jobId === jobId)
        if (!found)
          throw new Error(`there are ${all.map((it) => `${it.jobId} ${it.reason}`).join(', ') || 'none'}`)
        return found
      },
      withinMs,
    )
  }
}

function encode(body: Body): string | Uint8Array {
  return typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
}

function toHeaders(from: Headers): MsgHdrs {
  const to = createHeaders()
  for (const [name, values] of Object.entries(from)) {
    for (const value of [values].flat()) to.append(name, value)
  }
  return to
}

function fromHeaders(from: MsgHdrs | undefined): Record<string, string> {
  const to: Record<string, string> = {}
  for (const [name, values] of from ?? []) to[name] = values.join('|')
  return to
}

/** Resolves when the connection has been lost and is there again; to be called before. */
export async function connectedAgain(nc: NatsConnection): Promise<void> {
  for await (const { type } of nc.status()) if (type === 'reconnect') return
}
