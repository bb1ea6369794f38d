/** A failure of the demo whose message says all there is to say; it is shown without a stack. */
export class DemoError extends Error {
  override readonly name = 'DemoError'
}
