const shortestMs = 250
/** However long the broker was away, the first job after that starts within a second. */
const longestMs = 500

/**
 * The pause before attempt `attempt + 1`: doubles from 0.25 s to the longest, between half and the whole of it,
 * so that the clients of a server that comes back do not all knock at once.
 */
export function reconnectDelayMs(attempt: number, atMostMs = longestMs): number {
  const wholeMs = Math.min(atMostMs, shortestMs * 2 ** Math.min(attempt - 1, 10))
  return wholeMs / 2 + (Math.random() * wholeMs) / 2
}

/** The pauses of one outage. */
export interface ReconnectDelay {
  /** The pause before the next attempt; the same until an attempt is noted. */
  currentMs(): number
  /** An attempt on one of `servers` servers begins. Each of them is tried once before the pause grows. */
  noteAttempt(servers: number): void
  /** The outage is over. */
  reset(): void
}

/** Keeps count of the attempts, because the client asks for the pause many times during each one. */
export function createReconnectDelay(): ReconnectDelay {
  let attempts = 0
  let delayMs = reconnectDelayMs(1)
  return {
    currentMs: () => delayMs,
    noteAttempt(servers) {
      attempts++
      if (attempts % servers === 0) delayMs = reconnectDelayMs(attempts / servers)
    },
    reset() {
      attempts = 0
      delayMs = reconnectDelayMs(1)
    },
  }
}
