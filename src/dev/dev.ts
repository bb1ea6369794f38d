import { rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config/settings.ts'
import { MillraceError } from '../core/errors.ts'
import { bannerOf } from './banner.ts'
import { isFree, openDevBroker } from './dev-broker.ts'
import { FolderWatch } from './folder-watch.ts'
import { HandlerBuilder } from './handler-builder.ts'
import { HostProcess } from './host-process.ts'
import { Reloader } from './reloader.ts'
import { StopSignals } from './stop-signals.ts'
import { makeBuildFolder } from './work-folder.ts'

/** What `millrace dev` is told. */
export interface DevOptions {
  /** The folder of the handlers' sources. @default the first of `usualFolders` that exists */
  readonly folder: string | undefined
  /** As the environment has them. */
  readonly settings: Settings
  readonly environment: NodeJS.ProcessEnv
  /** Of our own broker, 0 for any. @default 4222, or any if that is in use */
  readonly port: number | undefined
  /** Forget the jobs of our own broker at the end. */
  readonly temporary: boolean
  /** What happens to the handlers, for people. */
  readonly narrate: (text: string) => void
  /** A line of the supervisor's or a handler's log. */
  readonly log: (line: string) => void
}

const usualFolders = ['handlers', 'src/handlers']
/** A process that dies at once is not started again at once. */
const restartMs = 1_000

/**
 * Runs a broker and the handlers of a folder of TypeScript, and changes over to what is saved, until somebody says
 * stop. Whatever happens, nothing is left running.
 *
 * @throws {MillraceError} what keeps it from beginning.
 */
export async function runDev(options: DevOptions): Promise<void> {
  const { narrate, settings } = options
  const beganAt = performance.now()
  const folder = findFolder(options.folder)
  const endings: (() => unknown)[] = []
  try {
    const buildFolder = makeBuildFolder(folder)
    endings.push(() => rmSync(buildFolder, { recursive: true, force: true }))
    const builder = await HandlerBuilder.create(folder, path.join(buildFolder, '0'))
    endings.push(() => builder.dispose())
    const broker = await openDevBroker(options)
    endings.push(() => broker.stop())
    // Not while a server is fetched, which a signal ends at once; and until all the rest has ended.
    const signals = new StopSignals()
    endings.unshift(() => signals.close())

    let changedAt: number | undefined
    let wake: () => void = () => {}
    const changed = (at: number): void => {
      changedAt ??= at
      wake()
    }
    const watch = new FolderWatch(changed)
    endings.push(() => watch.close())
    const environment = await hostEnvironment(broker.environment, settings)
    const reloader = new Reloader({
      builder,
      watch,
      buildFolder,
      narrate,
      startHost: (onRetired) => new HostProcess({ environment, onLine: options.log, onRetired }),
      hostEnded: (how) => {
        narrate(`the process that runs the handlers has ended: ${how}`)
        void sleep(restartMs, undefined, { ref: false }).then(() => changed(performance.now()))
      },
    })
    endings.push(() => stopped(reloader, signals, narrate, settings))

    await Promise.race([reloader.reload(undefined), signals.first])
    if (signals.count === 0)
      narrate(
        bannerOf({
          readyMs: performance.now() - beganAt,
          broker,
          url: reloader.url,
          folder: path.relative(process.cwd(), folder) || '.',
          handlers: reloader.names,
          namespace: settings.namespace,
        }),
      )
    while (signals.count === 0) {
      const waking = new Promise<void>((resolve) => {
        wake = resolve
      })
      if (changedAt === undefined) await Promise.race([waking, signals.first])
      const at = changedAt
      changedAt = undefined
      if (at !== undefined && signals.count === 0) await Promise.race([reloader.reload(at), signals.first])
    }
  } finally {
    for (const end of endings.reverse()) await end()
  }
}

function findFolder(typed: string | undefined): string {
  const isFolder = (folder: string): boolean =>
    statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true
  const folder = typed ?? usualFolders.find(isFolder)
  if (folder !== undefined && isFolder(folder)) return path.resolve(folder)
  throw new MillraceError(
    'handlers_missing',
    typed === undefined
      ? `there is no folder ${usualFolders.join(' or ')} here; name yours (millrace dev <folder>), or begin a project: millrace init`
      : `there is no folder ${path.resolve(typed)}; name the folder of your handlers, or begin a project: millrace init`,
  )
}

/** What the process of the handlers is told by its environment. */
async function hostEnvironment(
  environment: NodeJS.ProcessEnv,
  { httpPort, threads, ioThreads }: Settings,
): Promise<NodeJS.ProcessEnv> {
  const { MILLRACE_HANDLERS: _, ...rest } = environment
  // A port that somebody chose is his to keep free.
  const isOpen = rest['MILLRACE_HTTP_PORT'] || httpPort === 'off' || (await isFree(httpPort))
  return {
    UV_THREADPOOL_SIZE: String(Math.min(threads + ioThreads + 4, 1_024)),
    ...rest,
    ...(isOpen ? {} : { MILLRACE_HTTP_PORT: '0' }),
  }
}

/** The first signal lets jobs run to their end, the second gives them back, the third ends the process. */
async function stopped(
  reloader: Reloader,
  signals: StopSignals,
  narrate: (text: string) => void,
  { drainMs }: Settings,
): Promise<void> {
  if (signals.count > 0)
    narrate(`stopping; jobs that run have ${drainMs / 1_000} s, Ctrl-C again cuts them short`)
  signals.onNext = () => {
    if (signals.count > 2) reloader.kill()
    else void reloader.stop()
  }
  await reloader.stop()
}
