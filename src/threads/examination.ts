import { isRecord } from '../core/field-checks.ts'
import { type ProbeAnswer, probeExpression } from './probe.ts'
import { describeFrames } from './stack-frames.ts'
import { askThread } from './thread-inspector.ts'

/** What a thread was found doing. */
export type Finding =
  | {
      readonly kind: 'found'
      /** The job in whose name it ran code; null when it ran none, or code of nobody. */
      readonly slot: number | null
      readonly ticket: number | null
      /** Innermost first; empty when it ran no code of any handler. */
      readonly stack: readonly string[]
      readonly resources: Readonly<Record<string, number>>
    }
  | { readonly kind: 'native' }
  | { readonly kind: 'unknown' }

/** Looks that are taken while V8 happens to be between the functions of a handler. */
const mostLooks = 5
/** What is there in every thread, or because it is asked. */
const ofTheThread = new Set(['MessagePort', 'CloseReq'])

/** Looks at what a thread is doing, without stopping it. Never rejects; the thread answers within `limitMs`, or never. */
export async function examineThread(threadId: number, limitMs: number): Promise<Finding> {
  try {
    return await look(threadId, performance.now() + limitMs)
  } catch {
    return { kind: 'unknown' }
  }
}

async function look(threadId: number, until: number): Promise<Finding> {
  let found: Finding | undefined
  for (let looks = 1; ; looks += 1) {
    const answer = await askThread(threadId, probeExpression, Math.max(0, until - performance.now()))
    if (answer.kind !== 'value') return found ?? { kind: answer.kind === 'silent' ? 'native' : 'unknown' }
    const probe = readAnswer(answer.value)
    if (!probe) return { kind: 'unknown' }
    const { slot, ticket, frames } = probe
    const stack = describeFrames(frames)
    const resources = count(probe.resources)
    // Who goes on from micro-task to micro-task has no stack now and then, and waits for nothing.
    const isBetween = stack.length > 0 ? stack.every(isNative) : Object.keys(resources).length === 0
    found = { kind: 'found', slot, ticket, stack, resources }
    if (!isBetween || looks === mostLooks || performance.now() >= until) return found
  }
}

function isNative(frame: string): boolean {
  return frame.endsWith('(native)')
}

/** The answer comes from a thread in which code of others runs. */
function readAnswer(json: unknown): ProbeAnswer | undefined {
  const answer: unknown = typeof json === 'string' ? JSON.parse(json) : undefined
  if (!isRecord(answer) || !Array.isArray(answer['frames']) || !Array.isArray(answer['resources']))
    return undefined
  return answer as unknown as ProbeAnswer
}

function count(resources: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of resources) if (!ofTheThread.has(name)) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
