import { readNatsContext } from '../config/nats-context.ts'
import { readSettings, type SettingsReading } from '../config/settings.ts'

/** The settings of a command, and what they have from a context of the nats CLI. */
export interface CliSettings extends SettingsReading {
  /** The name of the context. */
  readonly context: string | undefined
  readonly inboxPrefix: string | undefined
}

/**
 * Reads the settings from the environment, and what it does not say from a context of the nats CLI: the one of
 * `--context`, or else of `NATS_CONTEXT`.
 *
 * @throws {MillraceError} `invalid_settings`.
 */
export function readCliSettings(flag: string | undefined): CliSettings {
  const environment = process.env
  const context = flag ?? (environment['NATS_CONTEXT'] || undefined)
  if (context === undefined)
    return { ...readSettings({ environment }), context: undefined, inboxPrefix: undefined }
  const { options, inboxPrefix } = readNatsContext(context, environment)
  return { ...readSettings({ environment, options }), context, inboxPrefix }
}
