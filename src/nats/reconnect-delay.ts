import type { NodeConnectionOptions } from '@nats-io/transport-node'

const shortestMs = 250
const longestMs = 4_000

/**
 * The pause before attempt `attempt + 1`: doubles from 0.25 s to 4 s, between half and the whole of it,
 * so that the clients of a server that comes back do not all knock at once.
 */
export function reconnectDelayMs(attempt: number): number {
  const wholeMs = Math.min(longestMs, shortestMs * 2 ** Math.min(attempt - 1, 10))
  return wholeMs / 2 + (Math.random() * wholeMs) / 2
}

/**
 * The client's options for that pause, and `reset` for when a reconnection has succeeded.
 *
 * The client asks for the delay on every turn of its loop, many times for one attempt, so it must stay
 * the same until an attempt is made; only its hook for choosing a server is called once per attempt. It
 * visits each server of its pool once per pause, hence the round.
 */
export function createReconnectDelay(): {
  readonly options: Required<Pick<NodeConnectionOptions, 'reconnectDelayHandler' | 'reconnectToServer'>>
  reset(): void
} {
  let attempts = 0
  let delayMs = reconnectDelayMs(1)
  return {
    options: {
      reconnectDelayHandler: () => delayMs,
      reconnectToServer(servers) {
        attempts++
        if (attempts % Math.max(1, servers.length) === 0) {
          delayMs = reconnectDelayMs(attempts / Math.max(1, servers.length))
        }
        return null
      },
    },
    reset() {
      attempts = 0
      delayMs = reconnectDelayMs(1)
    },
  }
}
