import { type NodeWorker, Session } from 'node:inspector'
import { parentPort } from 'node:worker_threads'
import { type Question, type Reply, type ThreadAnswer, unavailable } from './inspector-protocol.ts'
import { monotonicMs } from './monotonic.ts'

/** So long a thread may take to answer that is not blocked, on a machine with more to do than it can. */
const slowMs = 100

/** The session that is open while somebody asks. Questions at the same time share it, because it attaches to every thread. */
class InspectorLink {
  static #open: InspectorLink | undefined

  static take(): InspectorLink {
    InspectorLink.#open ??= new InspectorLink()
    InspectorLink.#open.#users += 1
    return InspectorLink.#open
  }

  readonly #session = new Session()
  readonly #enabled: Promise<void>
  /** The name of each thread's own session, by its thread id. */
  readonly #threads = new Map<number, string>()
  readonly #waiting = new Map<number, { sessionId: string; answered(answer: ThreadAnswer): void }>()
  #users = 0

  constructor() {
    const session = this.#session
    session.on('NodeWorker.attachedToWorker', ({ params }) => this.#attached(params))
    session.on('NodeWorker.detachedFromWorker', ({ params }) => this.#detached(params.sessionId))
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => this.#received(params.message))
    session.connectToMainThread()
    this.#enabled = new Promise((resolve, reject) => {
      session.post('NodeWorker.enable', { waitForDebuggerOnStart: false }, (error) =>
        error ? reject(error) : resolve(),
      )
    })
  }

  evaluate({ id, threadId, expression, untilMs }: Question): Promise<ThreadAnswer> {
    return new Promise((resolve) => {
      const answered = (answer: ThreadAnswer): void => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve(answer)
      }
      let deliveredAt = Number.POSITIVE_INFINITY
      const giveUp = (): void =>
        answered(monotonicMs() - deliveredAt >= slowMs ? { kind: 'silent' } : unavailable)
      const timer = setTimeout(giveUp, Math.max(0, untilMs - monotonicMs()))
      const ask = (): void => {
        const sessionId = this.#threads.get(threadId)
        if (sessionId === undefined) {
          answered(unavailable)
          return
        }
        this.#waiting.set(id, { sessionId, answered })
        const params = { expression, returnByValue: true, silent: true }
        const message = JSON.stringify({ id, method: 'Runtime.evaluate', params })
        this.#session.post('NodeWorker.sendMessageToWorker', { sessionId, message }, (error) => {
          if (error) answered(unavailable)
          else deliveredAt = monotonicMs()
        })
      }
      this.#enabled.then(ask).catch(() => answered(unavailable))
    })
  }

  leave(): void {
    this.#users -= 1
    if (this.#users > 0) return
    InspectorLink.#open = undefined
    this.#session.disconnect()
  }

  // `workerId` counts attachments; only the title has the thread's id.
  #attached({ sessionId, workerInfo }: NodeWorker.AttachedToWorkerEventDataType): void {
    const threadId = /\[worker (\d+)\]/.exec(workerInfo.title)?.[1]
    if (threadId !== undefined) this.#threads.set(Number(threadId), sessionId)
  }

  #detached(sessionId: string): void {
    for (const [threadId, its] of this.#threads) if (its === sessionId) this.#threads.delete(threadId)
    for (const waiting of [...this.#waiting.values()])
      if (waiting.sessionId === sessionId) waiting.answered(unavailable)
  }

  #received(text: string): void {
    const message = JSON.parse(text) as { id?: number; result?: { result?: { value?: unknown } } }
    const value = message.result?.result?.value
    this.#waiting.get(message.id ?? 0)?.answered(value === undefined ? unavailable : { kind: 'value', value })
  }
}

parentPort!.on('message', async (question: Question) => {
  const link = InspectorLink.take()
  const answer = await link.evaluate(question)
  link.leave()
  const reply: Reply = { id: question.id, answer }
  parentPort!.postMessage(reply)
})
