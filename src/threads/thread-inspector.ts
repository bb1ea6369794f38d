import { Worker } from 'node:worker_threads'
import { type Question, type Reply, type ThreadAnswer, unavailable } from './inspector-protocol.ts'
import { monotonicMs } from './monotonic.ts'

/** So much earlier than the limit the thread that asks gives up, so that what it knows comes in time. */
const replyMs = 20

/**
 * Evaluates an expression inside a thread of this process, whatever the thread is doing, and gives back its value.
 *
 * 1. No port is opened: the inspector's session is inside the process, and there is none before and after.
 * 2. The thread is not paused, so there is nothing that could be left paused. The expression runs at the next
 *    point at which V8 lets itself be interrupted: inside a loop, a regular expression or `Atomics.wait`, or at
 *    once when the thread waits for events. Inside other native code there is no such point.
 * 3. A thread of its own asks, from the first question on. Node.js 20 to 24 ends by a segmentation fault when a thread
 *    starts or ends while this thread attaches to those that are there: JavaScript runs meanwhile, and in the middle
 *    of that the list of threads changes. For a session of another thread none runs.
 *
 * One race is left, inside Node.js 20: a thread that ends while this one attaches may be met after the last reference
 * to its inspector is gone and before that is marked, and `MainThreadInterface::Post` calls `abort`. Seen twice in some
 * 60 runs of 300 ends of threads each, most of them on a busy machine, all while a thread was asked without a pause.
 *
 * Never rejects, and answers within `limitMs`, or in the first turn that this thread has after that.
 */
export function askThread(threadId: number, expression: string, limitMs: number): Promise<ThreadAnswer> {
  Asker.current ??= new Asker()
  return Asker.current.ask(threadId, expression, limitMs)
}

/** Has the first question answered as soon as the others, for which it would start a thread. */
export function prepareToAsk(): void {
  Asker.current ??= new Asker()
}

/** This thread's end of the thread that asks. */
class Asker {
  static current: Asker | undefined

  readonly #waiting = new Map<number, (answer: ThreadAnswer) => void>()
  /** Undefined where there can be none, such as in a Node.js without an inspector. */
  #worker: Worker | undefined
  #lastId = 0

  constructor() {
    try {
      this.#worker = this.#start()
    } catch {
      // It is not permitted to start threads.
    }
  }

  #start(): Worker {
    // Nothing that the process was told to load first is for this thread.
    const worker = new Worker(new URL('inspector-entry.js', import.meta.url), { execArgv: [], env: {} })
    let hasAnswered = false
    worker.on('message', ({ id, answer }: Reply) => {
      hasAnswered = true
      this.#waiting.get(id)?.(answer)
    })
    // A listener for messages holds the process, so not before.
    worker.unref()
    worker.on('error', () => {})
    worker.once('exit', () => {
      this.#worker = undefined
      // The next question starts another one, unless that would end as well.
      if (hasAnswered) Asker.current = undefined
      for (const answered of [...this.#waiting.values()]) answered(unavailable)
    })
    return worker
  }

  ask(threadId: number, expression: string, limitMs: number): Promise<ThreadAnswer> {
    const worker = this.#worker
    if (!worker) return Promise.resolve(unavailable)
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve) => {
      const answered = (answer: ThreadAnswer): void => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve(answer)
      }
      // After a look at what has arrived, for which this thread may have had no time.
      const timer = setTimeout(() => setImmediate(() => answered(unavailable)), limitMs)
      this.#waiting.set(id, answered)
      const question: Question = { id, threadId, expression, untilMs: monotonicMs() + limitMs - replyMs }
      worker.postMessage(question)
    })
  }
}
