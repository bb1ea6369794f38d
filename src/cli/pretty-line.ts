import { terminalText } from './terminal-text.ts'

const levels: readonly [least: number, name: string, colour: number][] = [
  [60, 'FATAL', 31],
  [50, 'ERROR', 31],
  [40, 'WARN', 33],
  [30, 'INFO', 32],
  [20, 'DEBUG', 2],
  [0, 'TRACE', 2],
]

/** Of supervisors that replace each other; who reads for people has been told already. */
const passing = new Set(['listening', 'running', 'draining', 'drained'])

/** Shown in a place of their own, or not worth one. */
const placed = ['level', 'time', 'msg', 'supervisor', 'worker_id', 'handler', 'job_id', 'attempt', 'err']

/**
 * A line of the log for people: `12:04:05.250 INFO  email.send order-7  job completed  duration_ms=12`. What is no
 * JSON comes as it is; undefined for what nobody need see. Control characters are escapes.
 */
export function prettyLine(line: string, colours: boolean): string | undefined {
  const fields = parse(line)
  if (!fields) return terminalText(line)
  const { level, time, msg, handler, job_id, attempt, err } = fields
  if (passing.has(String(msg)) && handler === undefined) return undefined
  const [, name, colour] = levels.find(([least]) => Number(level) >= least) ?? levels[3]!
  const paint = (text: string, code: number): string => (colours ? `\u001b[${code}m${text}\u001b[0m` : text)
  const shown = (value: unknown): string =>
    terminalText(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
  const about = [
    ...(handler === undefined ? [] : [paint(shown(handler), 36)]),
    ...(job_id === undefined ? [] : [shown(job_id)]),
    ...(Number(attempt) > 1 ? [`attempt ${shown(attempt)}`] : []),
  ].join(' ')
  const rest = Object.entries(fields)
    .filter(([field]) => !placed.includes(field))
    .map(([field, value]) => `${terminalText(field)}=${shown(value)}`)
    .join(' ')
  const parts = [
    `${paint(clock(time), 2)} ${paint(name.padEnd(5), colour)}`,
    about,
    shown(msg),
    paint(rest, 2),
  ]
  return [parts.filter((part) => part !== '' && part !== paint('', 2)).join('  '), ...errorLines(err)].join(
    '\n',
  )

  function errorLines(error: unknown): string[] {
    if (typeof error !== 'object' || error === null) return []
    const { code, message, stack } = error as Record<string, unknown>
    const first = [code, message].filter((part) => part !== undefined && part !== '').map(String)
    const frames = typeof stack === 'string' ? stack.split('\n').filter((text) => /^\s+at /.test(text)) : []
    const head = first.join(': ').split('\n')
    return [
      ...head.map((text) => paint(`    ${terminalText(text)}`, colour)),
      ...frames.map((text) => paint(`    ${terminalText(text.trim())}`, 2)),
    ]
  }
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** The time of day here. */
function clock(time: unknown): string {
  const date = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN)
  if (Number.isNaN(date.getTime())) return '--:--:--.---'
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`
}
