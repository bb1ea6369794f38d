/** Why a run has no number; its message says all there is to say, and it is shown without a stack. */
export class BenchError extends Error {
  override readonly name = 'BenchError'
}
