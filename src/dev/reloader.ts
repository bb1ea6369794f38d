import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ErrorCode, errorCodes, MillraceError } from '../core/errors.ts'
import type { FolderWatch } from './folder-watch.ts'
import type { BuiltHandler, HandlerBuild, HandlerBuilder } from './handler-builder.ts'
import { type ChosenHandlers, HandlerVersions } from './handler-versions.ts'
import type { HostProcess } from './host-process.ts'
import type { HostAnswer } from './host-protocol.ts'

/** Looks so often at folders that go away meanwhile. */
const mostTries = 5
const againMs = 50

/** What a reloader works with. */
export interface ReloaderParts {
  readonly builder: HandlerBuilder
  readonly watch: Pick<FolderWatch, 'watch'>
  /** Below it, each state of the handlers gets a folder. */
  readonly buildFolder: string
  readonly startHost: (onRetired: (folder: string) => void) => HostProcess
  /** Hears that the process of the handlers has ended by itself. */
  readonly hostEnded: (how: string) => void
  readonly narrate: (text: string) => void
}

/**
 * Brings what runs to what is in the handlers folder.
 *
 * 1. Builds every handler. One that does not compile keeps its last version.
 * 2. Has the new ones tried. One that does not load keeps its last version, too.
 * 3. Changes over to all that is left, if it is anything else than what runs.
 */
export class Reloader {
  readonly #parts: ReloaderParts
  readonly #versions = new HandlerVersions()
  /** What was last said about a handler that does not work. */
  readonly #told = new Map<string, string>()
  #host: HostProcess | undefined
  #states = 0
  #stopping = false
  /** Where the handlers' health is. */
  url: string | undefined

  constructor(parts: ReloaderParts) {
    this.#parts = parts
  }

  /** The handlers that run. */
  get names(): readonly string[] {
    return this.#versions.names
  }

  /**
   * @param changedAt - the `performance.now()` of the change; undefined for the first time.
   * @throws {MillraceError} what keeps the handlers from being started for the first time.
   */
  async reload(changedAt: number | undefined): Promise<void> {
    this.#versions.tryAgain()
    const build = await this.#build()
    this.#tellFailures(build)
    for (;;) {
      const chosen = this.#versions.choose(build)
      const isSame = chosen.untried.length + chosen.removed.length === 0
      if (this.#stopping || (isSame && this.#host)) return
      const answer = await this.#changeOver(chosen)
      if (answer?.kind === 'refused') {
        this.#refuse(answer.faults, chosen)
        continue
      }
      if (answer?.kind === 'running') {
        this.#versions.accept(chosen)
        this.url = answer.url
        for (const name of chosen.untried) this.#told.delete(name)
        if (changedAt !== undefined && !isSame) this.#parts.narrate(describe(chosen, changedAt))
      } else this.#failed(answer, changedAt === undefined)
      return
    }
  }

  /** Lets what runs come to its end; called again, without waiting for that. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#host?.stop()
  }

  /** Ends what runs at once. */
  kill(): void {
    this.#host?.kill()
  }

  /** What is there once nothing new has to be watched. A folder may go away while it is looked at. */
  async #build(): Promise<HandlerBuild> {
    const { builder, watch } = this.#parts
    for (let tries = 1; ; tries += 1) {
      try {
        let build = await builder.build()
        while (watch.watch(build.folders)) build = await builder.build()
        return build
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === mostTries) throw error
        await sleep(againMs)
      }
    }
  }

  async #changeOver({ handlers, untried }: ChosenHandlers): Promise<HostAnswer | undefined> {
    this.#host ??= this.#start()
    if (handlers.size === 0) return this.#host.run(undefined, [])
    this.#states += 1
    const folder = path.join(this.#parts.buildFolder, String(this.#states))
    for (const { file, code } of handlers.values()) {
      const to = path.join(folder, file)
      mkdirSync(path.dirname(to), { recursive: true })
      writeFileSync(to, code)
    }
    const answer = await this.#host.run(folder, untried)
    if (answer?.kind !== 'running') remove(folder)
    return answer
  }

  #start(): HostProcess {
    const host = this.#parts.startHost(remove)
    void host.ended.then((how) => {
      if (this.#stopping) return
      this.#host = undefined
      this.#parts.hostEnded(how)
    })
    return host
  }

  #failed(answer: Extract<HostAnswer, { kind: 'failed' }> | undefined, isFirst: boolean): void {
    if (!answer) {
      if (isFirst)
        throw new MillraceError('internal', 'the process that runs the handlers has ended, see its log')
      return
    }
    if (isFirst) {
      const code = Object.hasOwn(errorCodes, answer.code) ? (answer.code as ErrorCode) : 'internal'
      throw new MillraceError(code, answer.message)
    }
    if (!this.#stopping)
      this.#parts.narrate(`the change could not be made, what ran before goes on: ${answer.message}`)
  }

  #refuse(faults: Extract<HostAnswer, { kind: 'refused' }>['faults'], chosen: ChosenHandlers): void {
    const folder = path.join(this.#parts.buildFolder, String(this.#states)) + path.sep
    for (const { name, message, at } of faults) {
      this.#versions.refuse(chosen.handlers.get(name) as BuiltHandler)
      // Each try has a folder of its own, and is told only when something else is wrong than before.
      const said = message.replaceAll(folder, '')
      this.#tell(name, 'does not load', at === undefined ? said : `${path.relative('', at)}: ${said}`)
    }
  }

  #tellFailures({ handlers, failures }: HandlerBuild): void {
    for (const { name, messages } of failures) this.#tell(name, 'does not compile', messages.join('\n'))
    for (const { name, code } of handlers) {
      if (this.#versions.isRunning(name, code) && this.#told.delete(name))
        this.#parts.narrate(`${name} is what runs again`)
    }
  }

  #tell(name: string, what: string, messages: string): void {
    if (this.#told.get(name) === messages) return
    this.#told.set(name, messages)
    const then = this.#versions.isRunning(name) ? 'its last version goes on' : 'its jobs wait'
    this.#parts.narrate(`${name} ${what}, ${then}:\n  ${messages.replaceAll('\n', '\n  ')}`)
  }
}

function describe({ added, changed, removed }: ChosenHandlers, changedAt: number): string {
  const ms = Math.round(performance.now() - changedAt)
  const what = [
    ...changed,
    ...added.map((name) => `${name} (new)`),
    ...removed.map((name) => `${name} (gone, its jobs wait)`),
  ]
  return `reloaded in ${ms} ms: ${what.join(', ')}`
}

function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}
