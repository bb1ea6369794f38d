import { setTimeout as wait } from 'node:timers/promises'

/** How long a fault lasts is part of the fault: this waits for nothing that could be seen. */
export function lasting(durationMs: number): Promise<void> {
  return wait(durationMs)
}
