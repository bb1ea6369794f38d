import { isRecord } from './field-checks.ts'
import { asciiJson, headerText } from './header-text.ts'

/**
 * What a thread was found to be doing with a job:
 *
 * - `running`: code of the job; `stack` says where, innermost first.
 * - `waiting`: nothing; `resources` are what Node.js waits for in the whole thread, by kind.
 * - `behind`: code of another job, and it never came to this one; `stack` is the other's.
 * - `native`: it did not answer, so it was inside one long call of native code.
 * - `unknown`: it could not be asked.
 */
export const whereKinds = ['running', 'waiting', 'behind', 'native', 'unknown'] as const

/**
 * Where a job was on its thread. Names of functions, files and resources only: neither values nor source text,
 * so that nothing of a payload is in it.
 */
export interface Whereabouts {
  readonly kind: (typeof whereKinds)[number]
  /** `function (file:line:column)`, in the files that people wrote where source maps lead there. */
  readonly stack?: readonly string[]
  readonly resources?: Readonly<Record<string, number>>
}

const frameCharacters = 160
/** So many frames of a stack are kept, the innermost. */
export const mostFrames = 10
/** What the JSON of all frames may take up in a header of printable ASCII. */
const stackBytes = 1_024
const mostResources = 12
const resourceName = /^[\w.-]{1,40}$/

/** The same in a size that fits a history; the outermost frames go first. */
export function shortenWhereabouts({ kind, stack, resources }: Whereabouts): Whereabouts {
  return {
    kind,
    ...(stack ? { stack: shortenStack(stack) } : {}),
    ...(resources
      ? { resources: Object.fromEntries(Object.entries(resources).slice(0, mostResources)) }
      : {}),
  }
}

/** The innermost frames, each a short text, in at most 1 KiB of a header. */
export function shortenStack(stack: readonly string[]): string[] {
  const kept: string[] = []
  let bytes = 0
  for (const frame of stack.slice(0, mostFrames)) {
    const text = headerText(frame, frameCharacters)
    bytes += asciiJson(text).length
    if (bytes > stackBytes) break
    kept.push(text)
  }
  return kept
}

/** Reads what somebody stored as whereabouts; undefined when it is none. */
export function readWhereabouts(value: unknown): Whereabouts | undefined {
  if (!isRecord(value)) return undefined
  const { stack, resources } = value
  const kind = whereKinds.find((known) => known === value['kind'])
  if (kind === undefined) return undefined
  const frames = Array.isArray(stack)
    ? stack.slice(0, mostFrames).filter((frame) => typeof frame === 'string')
    : []
  const counts = isRecord(resources) ? Object.entries(resources).slice(0, mostResources).filter(isCount) : []
  return shortenWhereabouts({
    kind,
    ...(Array.isArray(stack) ? { stack: frames } : {}),
    ...(isRecord(resources) ? { resources: Object.fromEntries(counts) } : {}),
  })
}

function isCount(entry: [string, unknown]): entry is [string, number] {
  return resourceName.test(entry[0]) && Number.isSafeInteger(entry[1]) && (entry[1] as number) > 0
}

/** The end of a sentence about a job; undefined when nothing is known. */
export function whereaboutsText({ kind, stack = [], resources = {} }: Whereabouts): string | undefined {
  switch (kind) {
    case 'running':
      return `in ${tellingFrame(stack)}`
    case 'behind':
      return `kept from going on by ${tellingFrame(stack)}`
    case 'waiting': {
      const kinds = Object.entries(resources).map(([name, count]) =>
        count === 1 ? name : `${count} ${name}`,
      )
      return `waiting for ${kinds.length === 0 ? 'nothing that Node.js knows of' : kinds.join(', ')}`
    }
    case 'native':
      return 'blocked in native code'
    case 'unknown':
      return undefined
  }
}

/** The innermost frame in a file that its reader has written, if there is one. */
function tellingFrame(stack: readonly string[]): string {
  const own = stack.find((frame) => /:\d+:\d+\)?$/.test(frame) && !/\bnode:|\bnode_modules\b/.test(frame))
  return own ?? stack[0] ?? 'code without a name'
}
