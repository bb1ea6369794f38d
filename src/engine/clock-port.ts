/** Time, so that tests own it. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Milliseconds that never step. */
  monotonicMs(): number
  /** Calls back once after `delayMs`; returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void
}
