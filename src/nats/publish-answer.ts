/** What the server said when it had stored something. */
export interface Stored {
  readonly stream: string
  readonly sequence: number
  /** It had stored the same id before, and nothing now; the sequence is that one's. */
  readonly duplicate: boolean
}

/** Why the server has not stored something. */
export interface Refused {
  readonly error: { readonly code: number; readonly err_code: number; readonly description: string }
}

/**
 * Reads the server's answer to a publish; undefined when it is none.
 *
 * The plain answer of the expected stream is read without parsing JSON, which would be a tenth of what a publish
 * costs; whatever looks different in any way goes through the parser.
 */
export function readAnswer(text: string, stream: string): Stored | Refused | undefined {
  const begin = `{"stream":"${stream}",`
  if (text.startsWith(begin)) {
    const [, digits] = /^ ?"seq": ?(\d{1,15})}$/.exec(text.slice(begin.length)) ?? []
    if (digits !== undefined) return { stream, sequence: Number(digits), duplicate: false }
  }
  return parse(text)
}

function parse(text: string): Stored | Refused | undefined {
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof answer !== 'object' || answer === null) return undefined
  const { error, stream, seq, duplicate } = answer as {
    error?: Partial<Refused['error']> | null
    stream?: unknown
    seq?: unknown
    duplicate?: unknown
  }
  if (error) {
    const { code = 0, err_code = 0, description = '' } = error
    return { error: { code, err_code, description } }
  }
  if (typeof stream !== 'string' || stream === '' || typeof seq !== 'number') return undefined
  return { stream, sequence: seq, duplicate: duplicate === true }
}
