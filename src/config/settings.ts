import { MillraceError } from '../core/errors.ts'
import { findContradictions, findUnwise } from './checks.ts'
import { checkOptionNames, checkVariableNames } from './names.ts'
import { readSetting, type SettingOrigin, type SettingSource } from './read-setting.ts'
import { type SettingName, type SettingValues, settingNames, settingTable } from './table.ts'

/** How to reach NATS and who we are there. Addresses carry no user-info: it has moved to the fields below. */
export interface NatsSettings {
  readonly servers: readonly string[]
  /** Path; the file is read again at each reconnect, as are those of `ca`, `cert` and `key`. */
  readonly creds: string | null
  /** The seed itself. */
  readonly nkey: string | null
  readonly user: string | null
  readonly password: string | null
  readonly token: string | null
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
  /** Where a secret above was read from, so that a reconnect picks up its successor. */
  readonly secretFiles: Readonly<Partial<Record<'nkey' | 'password' | 'token', string>>>
}

/** Everything a supervisor needs to know, checked and frozen. What each field does is in `settingTable`. */
export interface Settings extends Readonly<Omit<SettingValues, 'handlers' | 'schedules' | `nats${string}`>> {
  readonly nats: NatsSettings
  readonly handlersFolder: string
  readonly schedulesFile: string | null
}

/**
 * What a program may set; a variable of the same setting wins over it, so that an operator has the last
 * word. `natsUrl` may be a list.
 */
export type SettingsOptions = {
  readonly [Name in SettingName]?:
    | (Name extends 'natsUrl' ? string | readonly string[] : SettingValues[Name])
    | undefined
}

/** Where each setting came from. */
export type SettingSources = { readonly [Name in SettingName]: SettingSource }

/** The settings, and what is worth saying about them. */
export interface SettingsReading {
  readonly settings: Settings
  readonly sources: SettingSources
  /** Valid but unwise: one sentence each, for the log. */
  readonly warnings: readonly string[]
}

/**
 * Reads, checks and freezes the settings.
 *
 * The environment comes first, then `options`, then the default; an empty variable counts as unset.
 *
 * @throws {MillraceError} `invalid_settings` with every problem on a line of its own: the name, the value
 *   (never a secret's) and the remedy.
 */
export function readSettings(from: {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly options?: SettingsOptions | undefined
}): SettingsReading {
  const { environment, options = {} } = from
  const variableNames = checkVariableNames(environment)
  const problems = [...variableNames.problems, ...checkOptionNames(options).problems]
  const values: Record<string, unknown> = {}
  const sources: Record<string, SettingSource> = {}
  for (const name of settingNames) {
    const found = readSetting(name, environment, options)
    problems.push(...found.problems)
    values[name] = found.value
    sources[name] = found.source
  }
  const checked = values as unknown as SettingValues
  problems.push(...findContradictions(checked, (name) => sources[name]?.origin !== 'default'))
  if (problems.length > 0) throw invalidSettings(problems)
  return Object.freeze({
    settings: composeSettings(checked, sources as unknown as SettingSources),
    sources: Object.freeze(sources) as unknown as SettingSources,
    warnings: Object.freeze([...variableNames.warnings, ...findUnwise(checked, environment)]),
  })
}

function invalidSettings(problems: readonly string[]): MillraceError {
  const [first] = problems
  return new MillraceError(
    'invalid_settings',
    problems.length === 1 && first !== undefined
      ? first
      : `${problems.length} settings are wrong:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
  )
}

function composeSettings(values: SettingValues, sources: SettingSources): Settings {
  const {
    natsUrl,
    natsCreds,
    natsNkey,
    natsUser,
    natsPassword,
    natsToken,
    natsCa,
    natsCert,
    natsKey,
    handlers,
    schedules,
    ...rest
  } = values
  const secretFiles = {
    ...fileOf('nkey', sources.natsNkey),
    ...fileOf('password', sources.natsPassword),
    ...fileOf('token', sources.natsToken),
  }
  return Object.freeze({
    ...rest,
    nats: Object.freeze({
      servers: Object.freeze([...natsUrl.urls]),
      creds: natsCreds,
      nkey: natsNkey,
      user: natsUser ?? natsUrl.user,
      password: natsPassword ?? natsUrl.password,
      token: natsToken ?? natsUrl.token,
      ca: natsCa,
      cert: natsCert,
      key: natsKey,
      secretFiles: Object.freeze(secretFiles),
    }),
    handlersFolder: handlers,
    schedulesFile: schedules,
  })
}

function fileOf(name: string, source: SettingSource): Record<string, string> {
  return source.file === null ? {} : { [name]: source.file }
}

export type { SettingName, SettingOrigin, SettingSource, SettingValues }
export { settingTable }
