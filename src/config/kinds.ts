/** What a reader makes of one raw value: the checked value, or what to do about it. */
export type Reading<Value> =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'refused'; readonly remedy?: string }

/**
 * A family of values: how it reads in a sentence ("must be …") and how a raw value becomes a checked one.
 * Raw values are strings from the environment, or whatever a program put into the options object.
 */
export interface SettingKind<Value> {
  readonly expected: string
  /** Present for numbers, so that the reference and the tests need not repeat them. */
  readonly bounds?: { readonly min: number; readonly max: number }
  read(raw: unknown): Reading<Value>
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** A whole number in plain decimal digits; `1e3`, `1_000`, `0x10` and fractions are refused. */
export function wholeNumber(min: number, max: number): SettingKind<number> {
  const expected = `a whole number from ${min} to ${max}`
  return { expected, bounds: { min, max }, read: (raw) => readWhole(raw, min, max) }
}

/** A duration in whole milliseconds. A value with a unit (`30s`) is refused with the number to write. */
export function milliseconds(min: number, max: number): SettingKind<number> {
  return {
    expected: `a whole number of milliseconds from ${min} to ${max}`,
    bounds: { min, max },
    read(raw) {
      const reading = readWhole(raw, min, max)
      return reading.kind === 'value' ? reading : withRemedy(durationRemedy(raw, min, max))
    },
  }
}

/** A whole number, or one word that stands for something no number can say (`off`, `unlimited`). */
export function wholeNumberOr<Word>(
  min: number,
  max: number,
  word: string,
  wordValue: Word,
): SettingKind<number | Word> {
  return {
    expected: `a whole number from ${min} to ${max}, or ${word}`,
    bounds: { min, max },
    read: (raw) =>
      raw === wordValue || (typeof raw === 'string' && raw.trim() === word)
        ? { kind: 'value', value: wordValue }
        : readWhole(raw, min, max),
  }
}

/** One of a few words, in lower case. */
export function oneOf<const Word extends string>(words: readonly Word[]): SettingKind<Word> {
  return {
    expected: `one of ${words.join(', ')}`,
    read(raw) {
      const text = typeof raw === 'string' ? raw.trim() : ''
      const found = words.find((word) => word === text)
      if (found !== undefined) return { kind: 'value', value: found }
      const meant = words.find((word) => word === text.toLowerCase())
      return withRemedy(meant === undefined ? undefined : `write ${meant}`)
    },
  }
}

/** `true` or `false`. */
export function trueOrFalse(): SettingKind<boolean> {
  return {
    expected: 'true or false',
    read(raw) {
      const text = typeof raw === 'boolean' ? String(raw) : typeof raw === 'string' ? raw.trim() : ''
      if (text === 'true' || text === 'false') return { kind: 'value', value: text === 'true' }
      const meant = /^(1|yes|on|true)$/i.test(text)
        ? 'true'
        : /^(0|no|off|false)$/i.test(text)
          ? 'false'
          : null
      return withRemedy(meant === null ? undefined : `write ${meant}`)
    },
  }
}

/** Text that `accepts` agrees with. Spaces around it do not count. */
export function text(
  expected: string,
  accepts: (value: string) => boolean,
  remedy?: (value: string) => string | undefined,
): SettingKind<string> {
  return {
    expected,
    read(raw) {
      const value = typeof raw === 'string' ? raw.trim() : ''
      return accepts(value) ? { kind: 'value', value } : withRemedy(remedy?.(value))
    },
  }
}

/** Makes a kind optional: `null` when nothing is set. */
export function optional<Value>(kind: SettingKind<Value>): SettingKind<Value | null> {
  return kind
}

function readWhole(raw: unknown, min: number, max: number): Reading<number> {
  const digits = typeof raw === 'string' && /^\d+$/.test(raw.trim())
  const value = digits ? Number(raw) : raw
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
    ? { kind: 'value', value }
    : { kind: 'refused' }
}

function durationRemedy(raw: unknown, min: number, max: number): string | undefined {
  const parts = typeof raw === 'string' ? /^(\d+(?:\.\d+)?)\s*([a-z]+)$/i.exec(raw.trim()) : null
  const meantMs = Number(parts?.[1]) * (unitMs[parts?.[2]?.toLowerCase() ?? ''] ?? Number.NaN)
  return Number.isInteger(meantMs) && meantMs >= min && meantMs <= max ? `write ${meantMs}` : undefined
}

function withRemedy(remedy: string | undefined): { kind: 'refused'; remedy?: string } {
  return remedy === undefined ? { kind: 'refused' } : { kind: 'refused', remedy }
}
