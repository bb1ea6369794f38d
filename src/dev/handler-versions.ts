import type { BuiltHandler, HandlerBuild } from './handler-builder.ts'

/** What is to run now. */
export interface ChosenHandlers {
  /** By name. */
  readonly handlers: ReadonlyMap<string, BuiltHandler>
  /** Those of them that have not run yet, and may not load. */
  readonly untried: readonly string[]
  /** Since what runs now. */
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly removed: readonly string[]
}

/**
 * Which version of each handler is to run: the newest that compiles and loads, else the last one that ran. A handler
 * whose file is gone is not run any more.
 */
export class HandlerVersions {
  #running: ReadonlyMap<string, BuiltHandler> = new Map()
  /** Code that did not load, by handler. */
  readonly #refused = new Map<string, string>()

  /** The handlers that run. */
  get names(): readonly string[] {
    return [...this.#running.keys()].sort()
  }

  /** Whether this version of the handler runs; without `code`, whether any does. */
  isRunning(name: string, code?: string): boolean {
    const running = this.#running.get(name)
    return running !== undefined && (code === undefined || running.code === code)
  }

  choose({ handlers, failures }: Pick<HandlerBuild, 'handlers' | 'failures'>): ChosenHandlers {
    const chosen = new Map<string, BuiltHandler>()
    const keep = (name: string): void => {
      const last = this.#running.get(name)
      if (last) chosen.set(name, last)
    }
    for (const { name } of failures) keep(name)
    for (const built of handlers) {
      if (this.#refused.get(built.name) === built.code) keep(built.name)
      else chosen.set(built.name, built)
    }
    const added = [...chosen.keys()].filter((name) => !this.#running.has(name))
    const changed = [...chosen].flatMap(([name, { code }]) => {
      const last = this.#running.get(name)
      return last && last.code !== code ? [name] : []
    })
    const removed = [...this.#running.keys()].filter((name) => !chosen.has(name))
    return { handlers: chosen, untried: [...added, ...changed], added, changed, removed }
  }

  /** These run now. */
  accept({ handlers }: ChosenHandlers): void {
    this.#running = handlers
  }

  /** This version of a handler does not load, and is not chosen until `tryAgain`. */
  refuse({ name, code }: BuiltHandler): void {
    this.#refused.set(name, code)
  }

  /** Whatever kept a version from loading, such as a package that was missing, may be different now. */
  tryAgain(): void {
    this.#refused.clear()
  }
}
