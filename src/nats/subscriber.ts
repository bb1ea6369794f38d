import type { Msg } from '@nats-io/transport-node'

type Subscriber = (error: Error | null, message: Msg) => void

/**
 * A callback for a subscription. What it throws is an uncaught exception of the next turn, as of any listener: the
 * client would stop reading from its socket.
 */
export function subscriber(callback: Subscriber): Subscriber {
  return (error, message) => {
    try {
      callback(error, message)
    } catch (thrown) {
      setImmediate(() => {
        throw thrown
      })
    }
  }
}
