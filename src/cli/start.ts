import { exitCodes } from '../config/exit-code.ts'
import type { Command } from './command.ts'

/** `millrace start`: a supervisor, as `node dist/supervisor.js` starts it. */
export const start: Command = {
  name: 'start',
  arguments: '',
  takes: [0, 0],
  summary: 'run a supervisor until SIGTERM or SIGINT',
  details:
    'The same as node dist/supervisor.js. Settings are environment variables; the log is JSON on stdout. Exits with\n' +
    '0 clean, 64 usage, 69 no broker, 70 internal, 75 restart wanted, 77 not permitted, 78 settings.',
  flags: {},
  ownConnection: true,
  example: 'NATS_URL=nats://127.0.0.1:4222 MILLRACE_HANDLERS=dist/handlers millrace start',
  usageExitCode: exitCodes.usage,

  async run() {
    // The supervisor takes no arguments, and ends the process itself.
    process.argv.length = 2
    await import('../supervisor.ts')
    return exitCodes.clean
  },
}
