import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** A supervisor that has had no job so long after its start can afford to stand still for a moment. */
const restingMs = 1_000

/** Collects what starting left, once and in a moment, if the process rests then. */
export function collectStartGarbageSoon(isResting: () => boolean): void {
  setTimeout(() => {
    if (isResting()) collectStartGarbage()
  }, restingMs).unref()
}

/**
 * Collects what starting leaves, some 8 MB, while nothing else has to be done.
 *
 * Newer V8 does so only when there is more garbage, which in a process without jobs may be never. This takes 15 ms;
 * V8 takes it for a sign to collect twice more within ten seconds, mostly beside the main thread, and then gives the
 * memory back to the system.
 */
export function collectStartGarbage(): void {
  const collect = globalThis.gc ?? borrowCollector()
  collect?.()
}

/** Node hands it out only to who starts it with a flag; V8 takes that flag later, too. */
function borrowCollector(): (() => void) | undefined {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext("typeof gc === 'function' ? gc : undefined")
  setFlagsFromString('--no-expose-gc')
  return collect as (() => void) | undefined
}
