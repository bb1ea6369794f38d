import type { HandlerQueue } from '../client/queues.ts'
import { ageText } from './age-text.ts'

/** What `millrace status` and `millrace top` tell of the queue of one handler. */
export function queueColumns(queue: HandlerQueue) {
  return {
    pending: queue.pending,
    ack_pending: queue.ackPending,
    redelivered: queue.redelivered,
    dead: queue.deadLetters,
    oldest: ageText(queue.oldestAgeSeconds),
    pulls: queue.pulls,
    paused: queue.paused ? `by ${queue.pausedBy ?? 'somebody'}` : '-',
  }
}
