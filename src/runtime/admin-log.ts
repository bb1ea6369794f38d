import type { AdminRecord } from '../http/admin.ts'
import type { Logger } from '../telemetry/logger.ts'
import { plainError } from '../telemetry/observer.ts'

/** Refusals are written at most this often, because anybody can cause them. */
const refusalMs = 1_000

/** Writes who asked for what, and what became of it. */
export class AdminLog {
  readonly #logger: Logger
  #refusedAt = Number.NEGATIVE_INFINITY
  #unwritten = 0

  constructor(logger: Logger) {
    this.#logger = logger
  }

  note({ remote, action, target, outcome, refused, error }: AdminRecord): void {
    const fields = { remote, action, target, outcome }
    if (refused) this.#refused(fields)
    else if (error === undefined) this.#logger.info(fields, 'admin action done')
    else this.#logger.warn({ ...fields, err: plainError(error) }, 'admin action failed')
  }

  #refused(fields: object): void {
    const now = performance.now()
    if (now - this.#refusedAt < refusalMs) {
      this.#unwritten += 1
      return
    }
    this.#refusedAt = now
    this.#logger.warn({ ...fields, unwritten: this.#unwritten }, 'admin action refused')
    this.#unwritten = 0
  }
}
