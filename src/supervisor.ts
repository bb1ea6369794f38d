import { readdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { exitCodeOf, exitCodes } from './config/exit-code.ts'
import { readSettings, type SettingsReading } from './config/settings.ts'
import { Supervisor } from './runtime/supervisor.ts'
import { createLogger, type Logger } from './telemetry/logger.ts'
import { plainError } from './telemetry/observer.ts'

/** The most that libuv accepts. */
const mostFileThreads = 1_024
/** How much longer than drain and grace a stop may take; then the process ends without what is left of it. */
const endMs = 1_500
/** Of that, for threads that can be ended to end. */
const threadsEndMs = 300

// Listened to from the first line: as process 1 a signal that nobody listens to is ignored.
const starting = new AbortController()
let stopAsked: (why: string) => void = () => {}
const stop = new Promise<string>((resolve) => {
  stopAsked = resolve
})
let hurryUp: () => void = () => {}
const hurry = new Promise<void>((resolve) => {
  hurryUp = resolve
})
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (starting.signal.aborted) hurryUp()
    starting.abort()
    stopAsked(signal)
  })
}

await main()

async function main(): Promise<void> {
  if (process.argv.length > 2) {
    console.error(
      `unknown argument ${JSON.stringify(process.argv[2])}: the supervisor takes none, its settings are environment variables`,
    )
    end(exitCodes.usage, false)
    return
  }
  let reading: SettingsReading
  try {
    reading = readSettings({ environment: process.env })
  } catch (error) {
    console.error(plainError(error).message)
    end(exitCodeOf(error), false)
    return
  }
  const { settings, warnings } = reading
  const logger = createLogger(settings.logLevel, () => stopAsked('EPIPE'))
  for (const warning of warnings) logger.warn(warning)
  const fileThreads = Math.min(settings.threads + settings.ioThreads + 4, mostFileThreads)
  if (!(await setFileThreads(fileThreads))) {
    logger.warn(
      `this Node.js (${process.version}) cannot raise the number of its file threads any more: four jobs that block on files would stop the supervisor, too; start it with UV_THREADPOOL_SIZE=${fileThreads} in the environment, or with Node.js 24`,
    )
  }

  const supervisor = new Supervisor(settings, logger)
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error) => fail(logger, supervisor, error))
  }
  let code: number = exitCodes.clean
  try {
    await supervisor.start(starting.signal)
    const why = await Promise.race([stop, supervisor.restartWanted.then(() => 'restart wanted')])
    if (why === 'restart wanted') code = exitCodes.restartWanted
  } catch (error) {
    if (!starting.signal.aborted) {
      code = exitCodeOf(error)
      logger.fatal({ err: plainError(error), exit_code: code }, 'cannot start')
      console.error(plainError(error).message)
    }
  }
  setTimeout(
    () => void endLate(code, supervisor, logger),
    settings.drainMs + supervisor.longestGraceMs + endMs,
  ).unref()
  const { threadsStuck } = await supervisor.stop(hurry)
  logger.flush()
  end(code, threadsStuck)
}

/**
 * Gives libuv so many threads that jobs which block theirs do not starve our own file and name
 * look-ups, unless the environment says how many. Answers false when it is too late for that.
 *
 * libuv reads the number when it first needs one of them, and then starts them all. Node 20 and early
 * 22 need one to load the first module; Node 24 does not. So one is used, and the system's list of our
 * threads, where there is one, must have grown.
 */
async function setFileThreads(count: number): Promise<boolean> {
  if (process.env['UV_THREADPOOL_SIZE'] !== undefined) return true
  process.env['UV_THREADPOOL_SIZE'] = String(count)
  const before = countThreads()
  await stat('.').catch(() => {})
  return before === undefined || countThreads()! >= before + count
}

function countThreads(): number | undefined {
  try {
    return readdirSync('/proc/self/task').length
  } catch {
    return undefined
  }
}

function fail(logger: Logger, supervisor: Supervisor, error: unknown): void {
  logger.fatal(
    { err: { ...plainError(error), stack: error instanceof Error ? error.stack : undefined } },
    'internal error',
  )
  end(exitCodes.internal, supervisor.threadsStuck)
}

/** The stop takes too long, for example because the broker says nothing. Only a thread that stays is a reason to kill. */
async function endLate(code: number, supervisor: Supervisor, logger: Logger): Promise<void> {
  await Promise.race([supervisor.endThreads(), sleep(threadsEndMs)])
  logger.flush()
  end(code, supervisor.hasThreads)
}

/**
 * Ends the process. With a thread blocked in native code `process.exit` would hang for ever, so it
 * kills itself instead, which as process 1 only an abort can do.
 */
function end(code: number, threadsStuck: boolean): void {
  if (!threadsStuck) process.exit(code)
  if (process.pid === 1) process.abort()
  process.kill(process.pid, 'SIGKILL')
}
