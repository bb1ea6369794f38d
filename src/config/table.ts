import { type BrokerValues, brokerSettings } from './broker-settings.ts'
import { type JobValues, jobSettings } from './job-settings.ts'
import { type ProcessValues, processSettings } from './process-settings.ts'
import type { SettingRow } from './row.ts'

/** Every checked value, by option name. */
export interface SettingValues extends BrokerValues, JobValues, ProcessValues {}

/** The name of a setting in the options object. */
export type SettingName = keyof SettingValues

/** Every setting, in the order in which the reference and `millrace config` show them. */
export const settingTable: { readonly [Name in SettingName]: SettingRow<SettingValues[Name]> } = {
  ...brokerSettings,
  ...jobSettings,
  ...processSettings,
}

/** The names of all settings, in the table's order. */
export const settingNames = Object.keys(settingTable) as SettingName[]

/** Read by `dev`, `demo` and the tests to find a server; accepted and ignored everywhere else. */
export const ignoredVariables: readonly string[] = ['MILLRACE_NATS_SERVER']
