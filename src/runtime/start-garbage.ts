import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Collects what starting leaves, some 8 MB, while nothing else has to be done.
 *
 * Newer V8 does so only when there is more garbage, which in a process without jobs may be never. This takes 15 ms;
 * V8 takes it for a sign to collect twice more within ten seconds, mostly beside the main thread, and then gives the
 * memory back to the system.
 */
export function collectStartGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  setFlagsFromString('--no-expose-gc')
  collect()
}
