import { readSettings } from '../config/settings.ts'
import { type Command, cliExitCodes, usageError } from './command.ts'
import { prettyLine } from './pretty-line.ts'

/** `millrace dev`: a broker and handlers in TypeScript, which are changed as they are saved. */
export const dev: Command = {
  name: 'dev',
  arguments: '[folder]',
  takes: [0, 1],
  summary: 'run handlers while they are written, with a broker',
  details:
    'Runs the TypeScript of a folder, handlers or src/handlers without one, and whatever is saved there, without losing a\n' +
    'job: what runs ends in the old code, what begins has the new. A handler that does not compile, or does not load, keeps\n' +
    'its last version. Without NATS_URL it has a nats-server of its own, whose jobs are kept in .millrace. Settings are\n' +
    'environment variables; the log is JSON, and made readable on a terminal.',
  flags: {
    port: {
      value: '<port>',
      help: 'of its own broker; 0 for any free one, 4222 without it, if that is free',
    },
    temporary: { help: 'forget the jobs of its own broker at the end' },
  },
  ownConnection: true,
  example: 'millrace dev handlers',

  async run({ positionals: [folder], json, text, texts }, console) {
    const { settings, warnings } = readSettings({ environment: process.env })
    for (const warning of warnings) console.narrate(warning)
    // Nobody else pays for the compiler.
    const { runDev } = await import('../dev/dev.ts')
    const isPretty = !json && console.columns !== undefined
    await runDev({
      folder,
      settings,
      environment: process.env,
      port: readPort(text('port')),
      temporary: texts('temporary').length > 0,
      narrate: (line) => console.narrate(line),
      log: isPretty ? pretty : (line) => console.print(line),
    })
    return cliExitCodes.ok

    function pretty(line: string): void {
      const shown = prettyLine(line, console.colours)
      if (shown !== undefined) console.paint(`${shown}\n`)
    }
  },
}

function readPort(typed: string | undefined): number | undefined {
  if (typed === undefined) return undefined
  const port = Number(typed)
  if (!/^\d+$/.test(typed) || port > 65_535)
    throw usageError(`--port must be a whole number from 0 to 65535, got ${JSON.stringify(typed)}`)
  return port
}
