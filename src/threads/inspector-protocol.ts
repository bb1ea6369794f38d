/** What came of asking a thread. */
export type ThreadAnswer =
  | { readonly kind: 'value'; readonly value: unknown }
  /** It is there, and did not answer in time. */
  | { readonly kind: 'silent' }
  /** It cannot be asked, or not in this time: it is gone, or this Node.js has no inspector, or does not permit it. */
  | { readonly kind: 'unavailable' }

export const unavailable: ThreadAnswer = { kind: 'unavailable' }

/** To the thread that asks. */
export interface Question {
  readonly id: number
  readonly threadId: number
  readonly expression: string
  /** When to give up, on the monotonic clock. */
  readonly untilMs: number
}

/** From the thread that asks. */
export interface Reply {
  readonly id: number
  readonly answer: ThreadAnswer
}
