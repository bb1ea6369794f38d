/** What a terminal can do to a text. */
export const paints = { bold: 1, dim: 2, inverse: 7, red: 31, green: 32, yellow: 33, cyan: 36 } as const

export type PaintName = keyof typeof paints

/** Puts a text between the sequences that begin and end a paint; nothing is left as it is. */
export type Painter = (text: string, paint: PaintName) => string

/** One that paints, or one that only looks like it, for who wants no colours. */
export function createPainter(colours: boolean): Painter {
  return (text, paint) => (colours && text !== '' ? `\u001b[${paints[paint]}m${text}\u001b[0m` : text)
}
