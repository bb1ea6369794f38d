/**
 * The process that runs the handlers of `millrace dev`: a supervisor for each state of their code.
 *
 * 1. An order to run names a folder of built handlers. A new supervisor starts with it, unless one of them is new and
 *    does not load.
 * 2. As soon as it takes jobs, the last one drains: its jobs run to their end, and what it had
 *    not begun is given back. It is the change of a fleet from one version to the next, in one process, so whatever
 *    holds there holds here.
 * 3. At the order to stop, or when `millrace dev` is gone, however it died, all drain and the process ends.
 *
 * A handler that ends the whole process ends this one; `millrace dev` starts another.
 */
import { exitCodes } from '../config/exit-code.ts'
import { readSettings } from '../config/settings.ts'
import { MillraceError } from '../core/errors.ts'
import type { HandlerOptions } from '../core/handler-definition.ts'
import { type StopReport, Supervisor } from '../runtime/supervisor.ts'
import { createLogger } from '../telemetry/logger.ts'
import { plainError } from '../telemetry/observer.ts'
import { catalogHandlers, type HandlerCatalog } from '../threads/handler-catalog.ts'
import type { HandlerFault, HandlerFile } from '../threads/lane-protocol.ts'
import type { HostAnswer, HostOrder, HostRetired } from './host-protocol.ts'
import { HttpFront } from './http-front.ts'

/** How much longer than drain and grace a stop may take. */
const endMs = 1_500

/** New handlers that do not load: everything stays as it is. */
class Refusal extends MillraceError {
  readonly faults: readonly HandlerFault[]

  constructor(faults: readonly HandlerFault[]) {
    super('handler_import_failed', faults.map(({ message }) => message).join('\n'))
    this.faults = faults
  }
}

const { settings } = readSettings({ environment: process.env })
const logger = createLogger(settings.logLevel, () => stop())
const front = new HttpFront()
/** All that have threads, each with its stop once it was asked to. */
const supervisors = new Map<Supervisor, Promise<StopReport> | undefined>()
/** The options of handlers, as they were read of the code that last was started. */
const known = new Map<string, HandlerOptions>()
let starting: AbortController | undefined
let isStopping = false
let hurryUp: () => void = () => {}
const hurry = new Promise<void>((resolve) => {
  hurryUp = resolve
})
let current: { readonly supervisor: Supervisor; readonly folder: string } | undefined

process.on('message', (order: HostOrder) => {
  if (order.kind === 'stop') stop()
  else void run(order).then(say)
})
process.on('disconnect', () => stop())
process.on('SIGTERM', () => stop())
// A terminal's Ctrl-C is for the process above, which orders what is to be done.
process.on('SIGINT', () => {})
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error) => {
    const stack = error instanceof Error ? error.stack : undefined
    logger.fatal({ err: { ...plainError(error), stack } }, 'internal error')
    end(exitCodes.internal)
  })
}

async function run({ generation, folder, untried }: HostOrder & { kind: 'run' }): Promise<HostAnswer> {
  if (isStopping) {
    const message = 'the process of the handlers is ending'
    return { kind: 'failed', generation, code: 'internal', message }
  }
  const last = current
  try {
    current = folder === undefined ? undefined : { supervisor: await start(folder, untried), folder }
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'refused', generation, faults: error.faults }
    const { code, message } = plainError(error)
    return { kind: 'failed', generation, code: String(code ?? 'internal'), message }
  }
  if (last) void retire(last)
  return { kind: 'running', generation, url: await front.url() }
}

async function start(handlersFolder: string, untried: readonly string[]): Promise<Supervisor> {
  const read = new Map<string, HandlerOptions>()
  const supervisor = new Supervisor({ ...settings, handlersFolder }, logger, {
    openHttp: front.open,
    catalog: async (files, importMs) => {
      const found = await catalog(files, importMs, untried)
      for (const { file, options } of found.handlers) read.set(file.name, options)
      return found
    },
    catalogued: (faults) => {
      const refused = faults.filter((fault) => untried.includes(fault.name))
      if (refused.length > 0) throw new Refusal(refused)
    },
  })
  supervisors.set(supervisor, undefined)
  void supervisor.restartWanted.then(() => {
    // One that drains goes anyway.
    if (!supervisors.get(supervisor)) stop(exitCodes.restartWanted)
  })
  starting = new AbortController()
  try {
    await supervisor.start(starting.signal)
    // Not before: what is refused now may not speak for the code that goes on.
    for (const [name, options] of read) known.set(name, options)
    return supervisor
  } catch (error) {
    await drained(supervisor)
    supervisors.delete(supervisor)
    throw error
  }
}

/** Imports only those that are new: what the others say of themselves is known. */
async function catalog(
  files: readonly HandlerFile[],
  importMs: number,
  untried: readonly string[],
): Promise<HandlerCatalog> {
  const isKnown = ({ name }: HandlerFile): boolean => known.has(name) && !untried.includes(name)
  const { handlers, faults } = await catalogHandlers(
    files.filter((file) => !isKnown(file)),
    importMs,
  )
  const before = files.filter(isKnown).map((file) => ({ file, options: known.get(file.name)! }))
  return { handlers: [...handlers, ...before], faults }
}

async function retire({ supervisor, folder }: NonNullable<typeof current>): Promise<void> {
  const { threadsStuck } = await drained(supervisor)
  // A stuck thread is in native code, and ends when that returns.
  if (!threadsStuck) supervisors.delete(supervisor)
  say({ kind: 'retired', folder })
}

function drained(supervisor: Supervisor): Promise<StopReport> {
  const draining = supervisors.get(supervisor) ?? supervisor.stop(hurry)
  supervisors.set(supervisor, draining)
  return draining
}

function stop(code: number = exitCodes.clean): void {
  if (isStopping) {
    hurryUp()
    return
  }
  isStopping = true
  starting?.abort()
  const all = [...supervisors.keys()]
  const graceMs = Math.max(settings.graceMs, ...all.map((supervisor) => supervisor.longestGraceMs))
  setTimeout(() => end(code), settings.drainMs + graceMs + endMs).unref()
  void Promise.all(all.map(drained))
    .then(() => front.close())
    .then(() => end(code))
}

function say(what: HostAnswer | HostRetired): void {
  if (process.connected) process.send?.(what)
}

/** With a thread in native code, `process.exit` would hang. */
function end(code: number): void {
  logger.flush()
  const isStuck = [...supervisors.keys()].some((supervisor) => supervisor.threadsStuck)
  if (isStuck) process.kill(process.pid, 'SIGKILL')
  process.exit(code)
}
