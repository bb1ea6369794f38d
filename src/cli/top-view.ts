import type { HandlerQueue, Queues } from '../client/queues.ts'
import { ageText } from './age-text.ts'
import { createPainter, type Painter } from './paint.ts'
import { queueColumns, queuePaint } from './queue-columns.ts'
import { tableOf } from './table.ts'
import { terminalText } from './terminal-text.ts'
import { cutToWidth, textWidth } from './text-width.ts'
import type { TopSupervisors } from './top-supervisors.ts'

/** What handlers can be ordered by. */
export const topOrders = ['name', 'jobs/s', 'pending', 'dead'] as const
export type TopOrder = (typeof topOrders)[number]

/** Everything that `millrace top` shows. */
export interface TopState {
  readonly namespace: string
  readonly server: string
  readonly now: Date
  /** As they were when they were last read; undefined without a stream of jobs. */
  readonly queues: Queues | undefined
  /** Attempts that end in a second. */
  rateOf(handler: string): number | undefined
  /** The same of all handlers, the newest last. */
  readonly history: readonly number[]
  readonly order: TopOrder
  /** How many handlers are above what is shown. */
  readonly scrolled: number
  /** Why the numbers are old. */
  readonly problem: string | undefined
  /** What supervisors say, if any was asked. */
  readonly supervisors?: Pick<TopSupervisors, 'latest' | 'inFlightOf' | 'p95Of'> | undefined
}

/** Where it is shown. */
export interface TopPlace {
  readonly columns: number
  readonly rows: number
  readonly colours: boolean
}

/**
 * How many handlers there is room for: all but title, totals, two empty lines, heads of columns and keys, and what
 * supervisors take.
 */
export function topRoom({ rows }: Pick<TopPlace, 'rows'>, supervisors = 0): number {
  return Math.max(1, rows - 6 - (supervisors > 0 ? supervisors + 2 : 0))
}

/** The lines of the view: no more than there are rows, and none wider than there are columns. */
export function topLines(state: TopState, place: TopPlace): string[] {
  const painter = createPainter(place.colours)
  const { columns, rows } = place
  const above = [titleOf(state, columns, painter), totalsOf(state, columns, painter), '']
  const below = [
    ...supervisorLines(state, columns, painter),
    '',
    painter(cutToWidth(keysOf(state, place), columns), 'dim'),
  ]
  const lines = [...above, ...tableLines(state, place, painter), ...below]
  if (lines.length <= rows) return lines
  // On a terminal of a few lines the handlers matter most.
  return lines.slice(above.length).slice(0, rows)
}

function titleOf({ namespace, server, now }: TopState, columns: number, painter: Painter): string {
  const left = terminalText(`millrace top  ${namespace} at ${server}`)
  const clock = now.toTimeString().slice(0, 8)
  const gap = columns - textWidth(left) - clock.length
  return painter(cutToWidth(gap > 0 ? left + ' '.repeat(gap) + clock : left, columns), 'bold')
}

function totalsOf(state: TopState, columns: number, painter: Painter): string {
  const { queues, history, problem } = state
  if (problem !== undefined) return painter(cutToWidth(terminalText(problem), columns), 'red')
  if (!queues) return cutToWidth('there is no stream of jobs yet; a supervisor creates it', columns)
  const total = (count: (queue: HandlerQueue) => number): number =>
    queues.handlers.reduce((all, queue) => all + count(queue), 0)
  const unclaimed = queues.unclaimed.reduce((all, { jobs }) => all + jobs, 0)
  const parts = [
    `${rateText(history.at(-1))} jobs/s`,
    `${total(({ pending }) => pending)} pending`,
    `${total(({ ackPending }) => ackPending)} handed out`,
    `${queues.delayed ?? 0} delayed`,
    `${total(({ deadLetters }) => deadLetters)} dead`,
    ...(unclaimed > 0 ? [`${unclaimed} unclaimed`] : []),
    ...(queues.stranded > 0 ? [`${queues.stranded} stranded`] : []),
  ]
  const text = cutToWidth(parts.join('  '), columns)
  return `${text}  ${painter(graphOf(history, columns - textWidth(text) - 2), 'cyan')}`.trimEnd()
}

const bars = '▁▂▃▄▅▆▇█'

/** The newest values as bars, the highest of which is the whole of a line. */
export function graphOf(values: readonly number[], width: number): string {
  if (width <= 0) return ''
  const shown = values.slice(-width)
  const most = Math.max(...shown, 1)
  return shown.map((value) => bars[Math.ceil((value / most) * (bars.length - 1))]).join('')
}

function tableLines(state: TopState, place: TopPlace, painter: Painter): string[] {
  const { columns } = place
  const all = ordered(state)
  const room = topRoom(place, state.supervisors?.latest.length)
  const shown = all.slice(state.scrolled, state.scrolled + room)
  if (shown.length === 0) return []
  // All of them decide how wide the columns are, or they would jump while one scrolls.
  const [head = '', ...lines] = fittingTable(
    all.map((queue) => rowOf(queue, state)),
    columns,
  )
  return [
    painter(head, 'bold'),
    ...shown.map((queue, index) => paintedLine(lines[state.scrolled + index]!, queue, state, painter)),
  ]
}

/** What a narrow terminal does without, the first first. */
const dispensable = ['pulls', 'redelivered', 'oldest', 'ack_pending', 'in_flight', 'paused', 'p95']

/** A table without the columns that there is no room for. */
function fittingTable(rows: readonly Record<string, unknown>[], columns: number): string[] {
  for (let without = 0; ; without += 1) {
    const left = rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).filter(([title]) => !dispensable.slice(0, without).includes(title)),
      ),
    )
    const [head = '', ...lines] = tableOf(left).split('\n')
    const fits = [head, ...lines].every((line) => textWidth(line) <= columns)
    if (fits) return [head, ...lines]
    if (without === dispensable.length) return tableOf(left, columns).split('\n')
  }
}

function ordered({ queues, order, rateOf }: TopState): readonly HandlerQueue[] {
  const handlers = [...(queues?.handlers ?? [])]
  const most = (value: (queue: HandlerQueue) => number) => handlers.sort((a, b) => value(b) - value(a))
  if (order === 'jobs/s') return most(({ handler }) => rateOf(handler) ?? 0)
  if (order === 'pending') return most(({ pending }) => pending)
  if (order === 'dead') return most(({ deadLetters }) => deadLetters)
  return handlers
}

/** One line for each supervisor that was asked. */
function supervisorLines({ supervisors }: TopState, columns: number, painter: Painter): string[] {
  if (!supervisors || supervisors.latest.length === 0) return []
  const rows = supervisors.latest.map(({ url, problem, isConnected, threads, handlers }) => ({
    supervisor: new URL(url).host,
    state: problem ?? (isConnected ? 'connected' : 'not connected'),
    busy: threads['busy'] ?? 0,
    idle: threads['idle'] ?? 0,
    stuck: threads['stuck'] ?? 0,
    in_flight: [...handlers.values()].reduce((sum, { inFlight }) => sum + inFlight, 0),
  }))
  const [head = '', ...lines] = tableOf(rows, columns).split('\n')
  const isWell = (index: number): boolean => rows[index]!.state === 'connected'
  return [
    '',
    painter(head, 'bold'),
    ...lines.map((line, index) => (isWell(index) ? line : painter(line, 'red'))),
  ]
}

function rowOf(queue: HandlerQueue, { rateOf, supervisors }: TopState) {
  return {
    handler: queue.handler,
    'jobs/s': rateText(rateOf(queue.handler)),
    ...(supervisors && {
      p95: durationText(supervisors.p95Of(queue.handler)),
      in_flight: supervisors.inFlightOf(queue.handler),
    }),
    ...queueColumns(queue),
  }
}

function paintedLine(line: string, queue: HandlerQueue, { rateOf }: TopState, painter: Painter): string {
  const isIdle = queue.pending + queue.ackPending === 0 && !rateOf(queue.handler)
  const paint = queuePaint(queue, isIdle)
  return paint ? painter(line, paint) : line
}

function keysOf({ queues, order, scrolled, supervisors }: TopState, place: TopPlace): string {
  const count = queues?.handlers.length ?? 0
  const room = topRoom(place, supervisors?.latest.length)
  const scrolling =
    count > room ? `  ↑↓ ${scrolled + 1} to ${Math.min(count, scrolled + room)} of ${count}` : ''
  return `q quit  s order by: ${order}${scrolling}`
}

function durationText(seconds: number | undefined): string {
  if (seconds === undefined) return '-'
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1_000))}ms`
  return seconds < 60 ? `${seconds.toFixed(1)}s` : ageText(seconds)
}

/** Three digits tell enough. */
function rateText(rate: number | undefined): string {
  if (rate === undefined) return '-'
  if (rate === 0) return '0'
  if (rate < 0.1) return '<0.1'
  return rate < 10 ? rate.toFixed(1) : String(Math.round(rate))
}
