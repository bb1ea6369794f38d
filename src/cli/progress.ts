import type { Console } from './command.ts'
import { cutToWidth } from './text-width.ts'

const lineEveryMs = 2_000
const barEveryMs = 100
const barWidth = 24

/** How far something long has come. */
export interface Step {
  readonly done: number
  /** Of how many; undefined when nobody knows. */
  readonly total: number | undefined
  /** What narration says, where there is no bar. */
  readonly line: string
}

/**
 * Says how far something long has come: as a bar at the bottom of a terminal, elsewhere as a line every two seconds and
 * not before.
 */
export class Progress {
  readonly #console: Console
  readonly #title: string
  readonly #startedAt = performance.now()
  #nextAt: number

  /** The title is what is being done: `replaying`. */
  constructor(console: Console, title: string) {
    this.#console = console
    this.#title = title
    this.#nextAt = this.#startedAt + (console.barColumns === undefined ? lineEveryMs : barEveryMs)
  }

  say(step: () => Step): void {
    const now = performance.now()
    if (now < this.#nextAt) return
    const { barColumns } = this.#console
    this.#nextAt = now + (barColumns === undefined ? lineEveryMs : barEveryMs)
    const { done, total, line } = step()
    if (barColumns === undefined) this.#console.narrate(line)
    else {
      const bar = barOf(this.#title, done, total, (now - this.#startedAt) / 1_000)
      // One column stays free: a terminal would go to the next line.
      this.#console.drawBar(cutToWidth(bar, barColumns - 1))
    }
  }

  /** Takes the bar away. */
  end(): void {
    this.#console.drawBar('')
  }
}

/** `replaying  ██████░░░░░░  120 of 400  52/s  6s left`. */
export function barOf(title: string, done: number, total: number | undefined, seconds: number): string {
  const rate = done / Math.max(seconds, 0.001)
  const pace = `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`
  if (total === undefined || total <= 0) return `${title}  ${done}  ${pace}`
  const full = Math.round(Math.min(1, done / total) * barWidth)
  const bar = '█'.repeat(full) + '░'.repeat(barWidth - full)
  const left = done === 0 ? '' : `  ${leftText((total - done) / rate)} left`
  return `${title}  ${bar}  ${done} of ${total}  ${pace}${left}`
}

function leftText(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds))
  if (whole < 120) return `${whole}s`
  return whole < 7_200 ? `${Math.ceil(whole / 60)}m` : `${Math.ceil(whole / 3_600)}h`
}
