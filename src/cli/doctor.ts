import { examineBroker } from '../client/doctor.ts'
import { failed } from '../client/doctor-rules.ts'
import { advice, type Finding, fine, wrong } from '../client/finding.ts'
import { MillraceError } from '../core/errors.ts'
import { findHandlers } from '../threads/handlers-folder.ts'
import { type CliSettings, readCliSettings } from './cli-settings.ts'
import { type Command, type Console, cliExitCodes } from './command.ts'
import { createPainter, type Painter } from './paint.ts'
import { terminalLines } from './terminal-text.ts'
import { clientName, patienceMs } from './with-client.ts'

/** `millrace doctor`: what keeps jobs from being run, and what helps. */
export const doctor: Command = {
  name: 'doctor',
  arguments: '',
  takes: [0, 0],
  summary: 'look for what is wrong with the broker and the settings',
  details:
    'Compares what is at the broker with what a supervisor with the settings of this environment needs, and changes\n' +
    'nothing. Every error and warning comes with what helps. Exits with 1 for errors, with 0 for warnings alone.',
  flags: {},
  example: 'millrace doctor',

  async run({ json, context }, console) {
    const findings = await examineAll(context)
    if (json) console.print(JSON.stringify(findings.map(rowOf)))
    else {
      const painter = createPainter(console.colours)
      const text = findings.map((finding) => linesOf(finding, painter)).join('\n')
      if (console.colours) console.paint(`${text}\n`)
      else console.print(text)
    }
    const errors = findings.filter(({ level }) => level === 'error').length
    const warnings = findings.filter(({ level }) => level === 'warning').length
    narrateCount(errors, warnings, console)
    return errors > 0 ? cliExitCodes.failed : cliExitCodes.ok
  },
}

async function examineAll(context: string | undefined): Promise<Finding[]> {
  let reading: CliSettings
  try {
    reading = readCliSettings(context)
  } catch (error) {
    if (error instanceof MillraceError) return [failed('settings', error)]
    throw error
  }
  const { settings, sources, warnings, inboxPrefix } = reading
  const isMeant = sources.handlers.origin !== 'default'
  const { handlers, findings } = handlersIn(settings.handlersFolder, isMeant)
  const remedy = 'millrace config shows what is set, and docs/settings.md what it does'
  return [
    ...warnings.map((warning) => advice('settings', warning, remedy)),
    ...findings,
    ...(await examineBroker({
      settings,
      handlers: isMeant ? handlers : [],
      likelyHandlers: isMeant ? [] : handlers,
      name: clientName(),
      connectMs: patienceMs,
      inboxPrefix,
    })),
  ]
}

/** Whoever looks from a machine without handlers looks at those that have a consumer. */
function handlersIn(folder: string, isMeant: boolean): { handlers: string[]; findings: Finding[] } {
  try {
    const handlers = findHandlers(folder).map(({ name }) => name)
    return { handlers, findings: [fine('handlers', `there are ${handlers.length} in ${folder}`)] }
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    if (isMeant || error.code !== 'handlers_missing') {
      const remedy = 'build the handlers, or set MILLRACE_HANDLERS to the folder of the compiled files'
      return { handlers: [], findings: [wrong('handlers', error.message, remedy)] }
    }
    const message = `there are none in ${folder} here: only handlers that have a consumer are looked at`
    return { handlers: [], findings: [fine('handlers', message)] }
  }
}

/** As `doctor --json` has it. */
function rowOf({ level, check, message, remedy }: Finding) {
  return { level, check, message, remedy: remedy ?? null }
}

const levelPaints = { ok: 'green', warning: 'yellow', error: 'red' } as const

function linesOf({ level, check, message, remedy }: Finding, painter: Painter): string {
  const indent = ' '.repeat('warning  '.length)
  const text = terminalLines(`${check}: ${message}`).replaceAll('\n', `\n${indent}`)
  const line = painter(level, levelPaints[level]) + indent.slice(level.length) + text
  return remedy === undefined ? line : `${line}\n${indent}-> ${terminalLines(remedy)}`
}

function narrateCount(errors: number, warnings: number, console: Console): void {
  const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`
  if (errors + warnings === 0) console.narrate('nothing is wrong')
  else console.narrate(`${counted(errors, 'error')}, ${counted(warnings, 'warning')}`)
}
