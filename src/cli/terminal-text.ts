/**
 * Text from elsewhere as a terminal may have it: control characters (which move the cursor, set the title or
 * forge lines) and marks that turn the direction of writing become visible escapes.
 *
 * JSON stays the same JSON, because it can have such characters in its strings only.
 */
export function terminalText(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The same for text of several lines. */
export function terminalLines(text: string): string {
  return text.split('\n').map(terminalText).join('\n')
}
