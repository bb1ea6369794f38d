import { headerText } from '../core/header-text.ts'
import type { AttemptError, Outcome, Steer } from '../core/outcome.ts'
import { mostFrames } from '../core/whereabouts.ts'
import { handlersPart } from './own-code.ts'

/**
 * Turns whatever a handler threw into an outcome that can cross the thread boundary.
 *
 * Structured clone drops an error's class, code and own fields, and refuses some values outright, so
 * what matters is read here, with nothing that a hostile getter or a revoked proxy could break.
 */
export function outcomeOfThrown(thrown: unknown): Outcome {
  const code = readText(thrown, 'code')
  if (code === 'snooze') {
    return { kind: 'snoozed', delayMs: readDelay(thrown) ?? 0 }
  }
  const error = describeThrown(thrown)
  const steer = steerOf(code, thrown)
  return steer ? { kind: 'failed', error, steer } : { kind: 'failed', error }
}

/** The code, message and stack of anything that was thrown. */
export function describeThrown(thrown: unknown, code?: AttemptError['code']): AttemptError {
  if (!isErrorLike(thrown)) {
    return {
      code: code ?? 'non_error_thrown',
      message: `a handler must throw an Error, it threw ${describeValue(thrown)}`,
    }
  }
  const own = readText(thrown, 'code')
  const name = readText(thrown, 'name')
  const text = readText(thrown, 'message') ?? ''
  const message = headerText(text === '' ? (name ?? 'Error') : text)
  const stack = readText(thrown, 'stack')?.slice(0, 4096)
  return {
    code: code ?? (own !== undefined && /^[\w.:-]{1,64}$/.test(own) ? own : 'handler_error'),
    message,
    ...(stack === undefined ? {} : { stack, ...framesIn(stack) }),
  }
}

/** Failures come in series, which have the same frames below one message or another. */
const last: { text: string; frames: readonly string[] } = { text: '', frames: [] }

function framesIn(stack: string): { frames?: readonly string[] } {
  const text = stack.slice(Math.max(0, stack.search(/^ {4}at /m)))
  if (text !== last.text) {
    last.text = text
    last.frames = handlersFrames(text)
  }
  return last.frames.length === 0 ? {} : { frames: last.frames }
}

/** Files are named from the working directory, as in the whereabouts of an attempt that was killed. */
function handlersFrames(text: string): string[] {
  const frames = [...text.matchAll(/^ {4}at (.+)$/gm)].map(([, frame]) => frame!)
  const own = handlersPart(frames, (frame) => frame).slice(0, mostFrames)
  const folder = `${process.cwd()}/`
  return own.map((frame) => frame.replace('file://', '').replace(folder, ''))
}

function steerOf(code: string | undefined, thrown: unknown): Steer | undefined {
  if (code === 'permanent_failure') return { kind: 'permanent' }
  if (code !== 'retry_later') return undefined
  const delayMs = readDelay(thrown)
  return delayMs === undefined ? undefined : { kind: 'retry_later', delayMs }
}

function readDelay(thrown: unknown): number | undefined {
  const delayMs = read(thrown, 'delayMs')
  return typeof delayMs === 'number' && Number.isFinite(delayMs) && delayMs >= 0 ? delayMs : undefined
}

function isErrorLike(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return typeof read(value, 'message') === 'string'
}

function readText(value: unknown, field: string): string | undefined {
  const found = read(value, field)
  return typeof found === 'string' ? found : undefined
}

function read(value: unknown, field: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  try {
    return (value as Record<string, unknown>)[field]
  } catch {
    return undefined
  }
}

function describeValue(value: unknown): string {
  if (typeof value === 'string') return headerText(JSON.stringify(value.slice(0, 200)), 220)
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean')
    return String(value)
  return `a value of type ${typeof value}`
}
