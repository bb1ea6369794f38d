/** Collects what is wrong with the fields of something that a user wrote, all of it at once. */
export class FieldChecks {
  readonly problems: string[] = []

  /** The value of `name` is not what it must be. */
  refuse(name: string, must: string, value: unknown): void {
    this.problems.push(`${name} must be ${must}, got ${described(value)}`)
  }

  /** A number of at least `least`, unless it is left out. */
  number(name: string, value: unknown, least: number, whole: boolean): void {
    if (value === undefined) return
    const fits =
      typeof value === 'number' &&
      Number.isFinite(value) &&
      value >= least &&
      (!whole || Number.isInteger(value))
    if (!fits) this.refuse(name, `a ${whole ? 'whole ' : ''}number of at least ${least}`, value)
  }

  /** One of `values`, unless it is left out. */
  oneOf(name: string, value: unknown, values: readonly string[]): void {
    if (value === undefined || values.includes(value as string)) return
    this.refuse(name, values.map((each) => `'${each}'`).join(' or '), value)
  }

  /** Fields that nobody reads are misspelt. `path` is empty at the top. */
  known(path: string, fields: Readonly<Record<string, unknown>>, names: readonly string[]): void {
    for (const field of Object.keys(fields)) {
      if (names.includes(field)) continue
      const full = path === '' ? field : `${path}.${field}`
      this.problems.push(`unknown field ${JSON.stringify(full)}; known are ${names.join(', ')}`)
    }
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function described(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}
