import { setTimeout as wait } from 'node:timers/promises'

const intervalMs = 10

/**
 * Waits until `condition` answers something truthy, and answers that. For states that no event
 * announces, such as another process's end; where there is an event, wait for the event.
 *
 * @throws {Error} when it has not become true within `timeoutMs`: "waited 30000 ms until <message>".
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  message: string,
  timeoutMs = 30_000,
): Promise<Exclude<T, false | 0 | '' | null | undefined>> {
  const giveUpAt = Date.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value) return value as Exclude<T, false | 0 | '' | null | undefined>
    if (Date.now() >= giveUpAt) throw new Error(`waited ${timeoutMs} ms until ${message}`)
    await wait(intervalMs)
  }
}
