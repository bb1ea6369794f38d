/** What a check of the doctor has found. */
export interface Finding {
  /** An error keeps jobs from being run, or being run as the settings say; a warning is advice. */
  readonly level: 'ok' | 'warning' | 'error'
  /** What was looked at: `server`, `topology`, … */
  readonly check: string
  readonly message: string
  /** The command or the setting that helps; undefined when nothing is to be done. */
  readonly remedy: string | undefined
}

export function fine(check: string, message: string): Finding {
  return { level: 'ok', check, message, remedy: undefined }
}

export function advice(check: string, message: string, remedy: string): Finding {
  return { level: 'warning', check, message, remedy }
}

export function wrong(check: string, message: string, remedy: string): Finding {
  return { level: 'error', check, message, remedy }
}
