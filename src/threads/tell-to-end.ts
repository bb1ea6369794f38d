import type { Worker } from 'node:worker_threads'

/** When it is told for the first time here, and how long the last pause is of those that double. */
const firstTellMs = 50
const longestTellMs = 6_400

/**
 * Tells a thread to end that has been told before, again and again until it is gone or 12 s are over. V8's inspector
 * cancels a termination that arrives while it evaluates a question: the answer ends, and what the thread ran before
 * goes on.
 *
 * @returns what stops it.
 */
export function tellToEnd(worker: Worker): () => void {
  // Each telling waits for the exit.
  worker.setMaxListeners(0)
  let timer: NodeJS.Timeout
  const tellIn = (pauseMs: number): void => {
    timer = setTimeout(() => {
      void worker.terminate()
      if (pauseMs < longestTellMs) tellIn(2 * pauseMs)
    }, pauseMs)
  }
  tellIn(firstTellMs)
  return () => clearTimeout(timer)
}
