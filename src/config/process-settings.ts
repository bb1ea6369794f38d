import { availableParallelism } from 'node:os'
import { oneOf, optional, text, wholeNumber, wholeNumberOr } from './kinds.ts'
import type { SettingRow } from './row.ts'

/** What the settings of this file hold, by option name. */
export interface ProcessValues {
  handlers: string
  threads: number
  ioThreads: number
  ioConcurrency: number
  threadMemoryMb: number | null
  httpHost: string
  httpPort: number | 'off'
  httpToken: string | null
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
  jobLogs: 'all' | 'auto' | 'errors'
  autopsy: 'on' | 'off'
  schedules: string | null
}

/** Threads, HTTP, logs and files: what one supervisor process is made of. */
export const processSettings: { readonly [Name in keyof ProcessValues]: SettingRow<ProcessValues[Name]> } = {
  handlers: {
    variable: 'MILLRACE_HANDLERS',
    kind: text('the path of a folder', (value) => value !== '' && !value.includes('\0')),
    default: { value: () => 'dist/handlers', reason: 'where `npm run build` puts handlers/' },
    meaning: 'The folder whose files are the handlers, compiled; relative to the working directory.',
  },
  threads: {
    variable: 'MILLRACE_THREADS',
    kind: wholeNumber(1, 1_024),
    default: {
      value: () => Math.min(availableParallelism(), 1_024),
      text: 'number of available cores',
      reason: 'CPU-bound handlers cannot use more',
    },
    meaning: 'Threads of the cpu pool: how many of its jobs run at once.',
    tooLow: 'cores stay idle while jobs wait',
    tooHigh: 'jobs take turns on the cores, so each takes longer; each thread costs 10 MB and more of memory',
  },
  ioThreads: {
    variable: 'MILLRACE_IO_THREADS',
    kind: wholeNumber(1, 1_024),
    default: { value: () => 1, reason: 'one event loop keeps a hundred waiting jobs going' },
    meaning: 'Threads of the io pool.',
    tooLow: 'one job that computes holds up all the others of its thread',
    tooHigh: 'threads wait instead of jobs; each costs 10 MB and more of memory',
  },
  ioConcurrency: {
    variable: 'MILLRACE_IO_CONCURRENCY',
    kind: wholeNumber(1, 10_000),
    default: {
      value: () => 100,
      reason: 'hides network latency without a burst that a dependency would feel',
    },
    meaning: 'How many jobs run at once on each thread of the io pool.',
    tooLow: 'the thread waits for the network while jobs wait for the thread',
    tooHigh:
      'killing a thread makes that many jobs start again, and dependencies see as many requests at once',
  },
  threadMemoryMb: {
    variable: 'MILLRACE_THREAD_MEMORY_MB',
    kind: optional(wholeNumber(32, 65_536)),
    default: {
      value: () => null,
      text: 'none',
      reason: "how much a handler needs is not ours to guess; Node's own limit applies",
    },
    meaning:
      'Heap of each thread, in MB; a job that needs more is a failed attempt instead of the end of the process.',
    tooLow: 'healthy jobs fail with out_of_memory',
    tooHigh: 'the system kills the whole process before the limit is reached',
  },
  httpHost: {
    variable: 'MILLRACE_HTTP_HOST',
    kind: text('an IP address or a host name', (value) =>
      /^([a-z0-9_.-]+|[0-9a-f:.]*:[0-9a-f:.]*(%[a-z0-9._-]+)?)$/i.test(value),
    ),
    default: { value: () => '127.0.0.1', reason: 'nobody outside this machine sees it unless asked for' },
    meaning: 'The address that health and metrics listen on; 0.0.0.0 for all.',
  },
  httpPort: {
    variable: 'MILLRACE_HTTP_PORT',
    kind: wholeNumberOr(0, 65_535, 'off', 'off'),
    default: {
      value: () => 9464,
      reason: "the port that OpenTelemetry's Prometheus exporter made customary",
    },
    meaning: 'The port of health and metrics; 0 takes any free one and prints it, off opens none.',
  },
  httpToken: {
    variable: 'MILLRACE_HTTP_TOKEN',
    kind: optional(text('printable ASCII without spaces', (value) => /^[\x21-\x7e]+$/.test(value))),
    secret: true,
    fileForm: 'contents',
    default: { value: () => null, text: 'none', reason: 'admin actions are then off, unless on loopback' },
    meaning: 'Bearer token for admin actions over HTTP.',
  },
  logLevel: {
    variable: 'MILLRACE_LOG_LEVEL',
    kind: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    default: {
      value: () => 'info',
      reason: 'every line that the documentation promises is of this level or above',
    },
    meaning: 'The least severe log lines that are written.',
  },
  jobLogs: {
    variable: 'MILLRACE_JOB_LOGS',
    kind: oneOf(['all', 'auto', 'errors']),
    default: { value: () => 'auto', reason: 'a log line costs more than dispatching the job' },
    meaning:
      'Which jobs are logged: all (each start and end), auto (all up to 500 jobs/s on this supervisor, above that one summary line per handler and second), errors (none that simply completed). Whatever did not simply complete is always logged.',
  },
  autopsy: {
    variable: 'MILLRACE_AUTOPSY',
    kind: oneOf(['on', 'off']),
    default: { value: () => 'on', reason: 'it costs nothing until a thread is to be killed' },
    meaning:
      'Whether a thread is asked where its attempt is (the stack, or what it waits for) before it is killed at a deadline; off leaves the inspector of Node.js alone.',
  },
  schedules: {
    variable: 'MILLRACE_SCHEDULES',
    kind: optional(text('the path of a readable file', (value) => value !== '')),
    readable: true,
    default: { value: () => null, text: 'none', reason: 'handlers carry their own schedules' },
    meaning: 'Path of a JSON file with schedules for handlers that have none of their own.',
  },
}
