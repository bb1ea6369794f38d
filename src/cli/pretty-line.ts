import { fileURLToPath } from 'node:url'
import { createPainter, type Painter, type paints } from './paint.ts'
import { terminalText } from './terminal-text.ts'

const levels: readonly [least: number, name: string, paint: keyof typeof paints][] = [
  [60, 'FATAL', 'red'],
  [50, 'ERROR', 'red'],
  [40, 'WARN', 'yellow'],
  [30, 'INFO', 'green'],
  [20, 'DEBUG', 'dim'],
  [Number.NEGATIVE_INFINITY, 'TRACE', 'dim'],
]

/** Of supervisors that replace each other; who reads for people has been told already. */
const passing = ['listening', 'running', 'draining', 'drained']

/** Shown in a place of their own, or of no interest where there is one supervisor. */
const placed = ['level', 'time', 'msg', 'supervisor', 'worker_id', 'handler', 'job_id', 'attempt', 'err']

const ownFolders = ['src', 'dist'].map((folder) =>
  fileURLToPath(new URL(`../../${folder}/`, import.meta.url)),
)

/**
 * A line of the log for people: `12:04:05.250 INFO   email.send order-7  job completed  duration_ms=12`, and below it the
 * error with the frames of its stack that are neither ours nor Node's. What is no JSON comes as it is; undefined for
 * what nobody need see. Control characters are escapes.
 */
export function prettyLine(line: string, colours: boolean): string | undefined {
  const fields = parse(line)
  if (!fields) return terminalText(line)
  const { level, time, msg, handler, err } = fields
  if (handler === undefined && passing.includes(String(msg))) return undefined
  const [, name, paint] = levels.find(([least]) => Number(level) >= least) ?? levels.at(-1)!
  const painter = createPainter(colours)
  const rest = Object.entries(fields).filter(([field]) => !placed.includes(field))
  const parts = [
    `${painter(clock(time), 'dim')} ${painter(name.padEnd(5), paint)}`,
    subjectOf(fields, painter),
    textOf(msg),
    painter(rest.map(([field, value]) => `${terminalText(field)}=${textOf(value)}`).join(' '), 'dim'),
  ]
  const errors = linesOf(err).map((text, index) =>
    painter(`    ${terminalText(text)}`, index === 0 ? paint : 'dim'),
  )
  return [parts.filter(Boolean).join('  '), ...errors].join('\n')
}

/** Which job the line is about. */
function subjectOf({ handler, job_id, attempt }: Record<string, unknown>, painter: Painter): string {
  const parts = [
    handler === undefined ? '' : painter(textOf(handler), 'cyan'),
    job_id === undefined ? '' : textOf(job_id),
    Number(attempt) > 1 ? `attempt ${textOf(attempt)}` : '',
  ]
  return parts.filter(Boolean).join(' ')
}

/** Code and message of an error, and where it comes from. */
function linesOf(error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return []
  const { code, message, stack } = error as Record<string, unknown>
  const frames = typeof stack === 'string' ? stack.split('\n').filter(isFrameOfInterest) : []
  const [first = '', ...more] = [code, message].filter(Boolean).map(String).join(': ').split('\n')
  return [first, ...more, ...frames.map((frame) => frame.trim())]
}

function isFrameOfInterest(line: string): boolean {
  return (
    /^\s+at /.test(line) && !line.includes('node:') && !ownFolders.some((folder) => line.includes(folder))
  )
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function textOf(value: unknown): string {
  return terminalText(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
}

/** The time of day here. */
function clock(time: unknown): string {
  const date = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN)
  if (Number.isNaN(date.getTime())) return '--:--:--.---'
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()]
  const shown = parts.map((part) => String(part).padStart(2, '0')).join(':')
  return `${shown}.${String(date.getMilliseconds()).padStart(3, '0')}`
}
