import type { HandlerQueue } from '../client/queues.ts'
import { ageText } from './age-text.ts'
import type { PaintName } from './paint.ts'

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

/** Red where nobody takes what waits, yellow where somebody has said so, dim where nothing is going on. */
export function queuePaint(queue: HandlerQueue, isIdle: boolean): PaintName | undefined {
  if (queue.paused) return 'yellow'
  if (isIdle) return 'dim'
  return queue.pending > 0 && queue.ackPending === 0 && !queue.pulls ? 'red' : undefined
}
