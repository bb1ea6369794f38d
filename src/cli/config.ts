import { describeSettings } from '../config/describe.ts'
import { type SettingName, type SettingSource, settingTable } from '../config/settings.ts'
import { readCliSettings } from './cli-settings.ts'
import { type Command, cliExitCodes } from './command.ts'
import { PrintedTable } from './print-table.ts'

/** `millrace config`: the settings in effect, and where each comes from. */
export const config: Command = {
  name: 'config',
  arguments: '',
  takes: [0, 0],
  summary: 'show every setting, its value and where it comes from',
  details: 'As a supervisor with this environment would have them. Secrets are ***; the broker is not asked.',
  flags: {},
  example: 'MILLRACE_THREADS=4 millrace config',

  async run({ json, context: flag }, console) {
    const { settings, sources, warnings, context } = readCliSettings(flag)
    const rows = describeSettings(settings, sources)
    if (json) console.print(JSON.stringify(rows))
    else {
      const names = Object.keys(settingTable) as SettingName[]
      const lines = rows.map(({ name, value, source }, index) => ({
        name,
        value: value ?? settingTable[names[index]!].default.text ?? 'off',
        source: source === 'option' ? `context ${context}` : sourceText(name, source, sources[names[index]!]),
      }))
      new PrintedTable(console, (_, { source }) => (source === 'default' ? 'dim' : undefined)).add(lines)
    }
    for (const warning of warnings) console.narrate(`warning: ${warning}`)
    return cliExitCodes.ok
  },
}

/** Says which variable, when it is not the one that the row names. */
function sourceText(name: string, origin: string, source: SettingSource): string {
  if (origin !== 'env') return origin
  const from = source.origin === 'default' ? 'NATS_URL' : source.name
  return from === name ? origin : `${origin} ${from}`
}
