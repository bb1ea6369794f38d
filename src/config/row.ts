import type { SettingKind } from './kinds.ts'

/** One setting: all that the checks, `millrace config`, the error messages and the reference need to know. */
export interface SettingRow<Value> {
  /** Its name in the environment. The name in the options object follows from it: see `optionName`. */
  readonly variable: string
  readonly kind: SettingKind<Value>
  readonly default: {
    readonly value: () => Value
    /** How the reference and the messages name it, when the value itself would mislead. */
    readonly text?: string
    readonly reason: string
  }
  /** What it decides, as one sentence. */
  readonly meaning: string
  readonly tooLow?: string
  readonly tooHigh?: string
  /** Never printed. */
  readonly secret?: true
  /**
   * What `<variable>_FILE` means: `contents` reads the value from that file; `path` is the same as the
   * variable, whose value is a path anyway.
   */
  readonly fileForm?: 'contents' | 'path'
  /** The value is the path of a file that must be readable at start. */
  readonly readable?: true
}

/**
 * The option's name by the mechanical rule: the variable without `MILLRACE_`, in camel case.
 * `MILLRACE_MAX_ATTEMPTS` is `maxAttempts`; `NATS_URL`, which has no prefix to lose, is `natsUrl`.
 */
export function optionName(variable: string): string {
  return variable
    .replace(/^MILLRACE_/, '')
    .toLowerCase()
    .replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
