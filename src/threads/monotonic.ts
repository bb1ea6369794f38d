import { performance } from 'node:perf_hooks'

// performance.now() counts from the start of its own thread; process.hrtime() is one clock for all of
// them but costs more. Their difference never changes, so it is taken at first. A thread that has to wait for a
// processor between the two finds it too small.
const offsetMs = Math.max(...Array.from({ length: 3 }, differenceMs))

function differenceMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1_000 + nanoseconds / 1e6 - performance.now()
}

/** Milliseconds on a clock that never steps and that every thread of the process shares. */
export function monotonicMs(): number {
  return performance.now() + offsetMs
}
