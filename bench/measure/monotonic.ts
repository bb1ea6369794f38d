/** Milliseconds on the one clock that all processes of a machine share and that never steps. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1_000 + nanoseconds / 1e6
}
