import type { Command } from './command.ts'

/** What the first word after `millrace` can be. */
export interface FirstWord {
  readonly word: string
  readonly summary: string
  /** The commands of a family (`dead ls`, `dead show`), by their second word; none for a command by itself. */
  readonly second: readonly { readonly word: string; readonly summary: string }[]
}

/** The first words of all commands, in their order. */
export function firstWords(commands: readonly Command[]): FirstWord[] {
  const words = new Map<string, FirstWord>()
  for (const { name, summary } of commands) {
    const [word = '', rest] = name.split(' ')
    const second = [...(words.get(word)?.second ?? []), ...(rest ? [{ word: rest, summary }] : [])]
    const all = second.map((each) => each.word).join(', ')
    words.set(word, { word, summary: rest ? all : summary, second })
  }
  return [...words.values()]
}

/** In single quotes, as every one of these shells takes it literally. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
