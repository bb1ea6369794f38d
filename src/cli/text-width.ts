/** How many columns of a terminal a text takes: most characters one, East Asian ones and emoji two, marks none. */
export function textWidth(text: string): number {
  let width = 0
  for (const character of text) width += characterWidth(character)
  return width
}

/** The text within `width` columns; one that is longer ends with `…`. */
export function cutToWidth(text: string, width: number): string {
  if (textWidth(text) <= width) return text
  let kept = ''
  let room = width - 1
  for (const character of text) {
    room -= characterWidth(character)
    if (room < 0) break
    kept += character
  }
  return width < 1 ? '' : `${kept}…`
}

const wide =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u
const none = /\p{Mn}|\p{Me}|\u200b|\u200c|\u200d/u

function characterWidth(character: string): number {
  // Nearly everything, and the patterns cost a hundred times as much.
  if (character.charCodeAt(0) < 0x300) return 1
  if (none.test(character)) return 0
  return wide.test(character) ? 2 : 1
}
