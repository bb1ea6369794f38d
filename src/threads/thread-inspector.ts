import type { NodeWorker, Session } from 'node:inspector'

/** What came of asking a thread. */
export type ThreadAnswer =
  | { readonly kind: 'value'; readonly value: unknown }
  /** It is there, and did not answer in time. */
  | { readonly kind: 'silent' }
  /** It cannot be asked: it is gone, or this Node.js has no inspector, or does not permit it. */
  | { readonly kind: 'unavailable' }

const unavailable: ThreadAnswer = { kind: 'unavailable' }

let opened: Promise<ThreadInspector | undefined> | undefined

/**
 * Lets this process ask its threads, from now on and for as long as it lives. To be called before it starts the first:
 * Node.js crashes (20 to 24, a segmentation fault) when a thread starts or ends at the moment at which a session
 * attaches to those that are there. A session that is there first learns of each as it starts.
 *
 * Never rejects. Without an inspector, or without the permission to use it, every answer is `unavailable`.
 */
export async function openThreadInspector(): Promise<void> {
  opened ??= import('node:inspector')
    .then(({ Session }) => new ThreadInspector(new Session()))
    .catch(() => undefined)
  await opened
}

/**
 * Evaluates an expression inside a thread of this process, whatever the thread is doing, and gives back its value.
 *
 * 1. No port is opened: the inspector's session is inside the process, and costs a thread nothing that is not asked.
 * 2. The thread is not paused, so there is nothing that could be left paused. The expression runs at the next
 *    point at which V8 lets itself be interrupted: inside a loop, a regular expression or `Atomics.wait`, or at
 *    once when the thread waits for events. Inside other native code there is no such point.
 * 3. Its answer comes at such a point, too: in the middle of whatever this thread is running, which may be Node's own
 *    book-keeping of timers. So nothing is done then but to ask for a turn.
 *
 * Never rejects, and answers within `limitMs`.
 */
export async function askThread(
  threadId: number,
  expression: string,
  limitMs: number,
): Promise<ThreadAnswer> {
  try {
    const inspector = await opened
    return inspector ? await inspector.evaluate(threadId, expression, limitMs) : unavailable
  } catch {
    return unavailable
  }
}

/** The session of this process with all its threads. */
class ThreadInspector {
  readonly #session: Session
  /** The name of each thread's own session, by its thread id. */
  readonly #threads = new Map<number, string>()
  readonly #waiting = new Map<number, { sessionId: string; answered(answer: ThreadAnswer): void }>()
  #lastId = 0

  constructor(session: Session) {
    this.#session = session
    session.on('NodeWorker.attachedToWorker', ({ params }) => this.#attached(params))
    session.on('NodeWorker.detachedFromWorker', ({ params }) =>
      inTurn(() => this.#detached(params.sessionId)),
    )
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) =>
      inTurn(() => this.#received(params.message)),
    )
    session.connect()
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
  }

  evaluate(threadId: number, expression: string, limitMs: number): Promise<ThreadAnswer> {
    const sessionId = this.#threads.get(threadId)
    if (sessionId === undefined) return Promise.resolve(unavailable)
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve) => {
      const timer = setTimeout(() => answered({ kind: 'silent' }), limitMs)
      const answered = (answer: ThreadAnswer): void => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve(answer)
      }
      this.#waiting.set(id, { sessionId, answered })
      const message = JSON.stringify({
        id,
        method: 'Runtime.evaluate',
        params: { expression, returnByValue: true, silent: true },
      })
      this.#session.post('NodeWorker.sendMessageToWorker', { sessionId, message }, (error) => {
        if (error) answered(unavailable)
      })
    })
  }

  // `workerId` counts attachments; only the title has the thread's id.
  #attached({ sessionId, workerInfo }: NodeWorker.AttachedToWorkerEventDataType): void {
    const threadId = /\[worker (\d+)\]/.exec(workerInfo.title)?.[1]
    if (threadId !== undefined) this.#threads.set(Number(threadId), sessionId)
  }

  #detached(sessionId: string): void {
    for (const [threadId, its] of this.#threads) if (its === sessionId) this.#threads.delete(threadId)
    for (const waiting of this.#waiting.values())
      if (waiting.sessionId === sessionId) waiting.answered(unavailable)
  }

  #received(text: string): void {
    const message = JSON.parse(text) as { id?: number; result?: { result?: { value?: unknown } } }
    const value = message.result?.result?.value
    this.#waiting.get(message.id ?? 0)?.answered(value === undefined ? unavailable : { kind: 'value', value })
  }
}

/** A micro-task is the one thing that V8 itself queues: it runs when this thread has ended what it is in the middle of. */
function inTurn(handle: () => void): void {
  void Promise.resolve().then(handle)
}
