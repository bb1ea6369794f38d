import type { Client } from '../client/client.ts'
import type { DeadLetterProgress, DeadLetterSelection, ReplayOptions } from '../client/dead-letters.ts'
import { type Console, cliExitCodes, type Flag, type Typed } from './command.ts'
import { narrateMissing, readSelection, selectionFlags } from './dead-selection.ts'
import { Progress, type Step } from './progress.ts'
import { withClient } from './with-client.ts'

/** Flags of commands that delete dead letters. */
export const changeFlags: Readonly<Record<string, Flag>> = {
  ...selectionFlags,
  'dry-run': { help: 'only count them' },
  yes: { help: 'do not ask first' },
}

/** One of the commands that delete dead letters. */
export interface Change {
  /** As in `replay 3 dead letters?`, what is being done, and what was done then. */
  readonly verb: readonly [now: string, doing: string, done: string]
  /** Whether somebody does it together with the command, on the same terminal. */
  readonly isByHand?: boolean
  carryOut(
    client: Client,
    selection: DeadLetterSelection,
    options: Pick<ReplayOptions, 'onProgress' | 'onRefused'>,
  ): Promise<DeadLetterProgress>
}

/** Counts or asks first, if that is wanted; then does it, and says how far it has come. */
export async function runChange(change: Change, typed: Typed, console: Console): Promise<number> {
  const missing: string[] = []
  const selection = readSelection(typed, missing)
  const [now, , done] = change.verb
  const isDry = typed.texts('dry-run').length > 0
  const asks = console.interactive && typed.texts('yes').length === 0
  return withClient(typed, async (client) => {
    const hasBar = console.barColumns !== undefined && !change.isByHand
    const total = isDry || asks || hasBar ? await client.deadLetters.count(selection) : undefined
    if (isDry) {
      console.print(typed.json ? JSON.stringify({ count: total }) : `${counted(total ?? 0)} would be ${done}`)
      narrateMissing(missing, console)
      return missing.length > 0 ? cliExitCodes.notFound : cliExitCodes.ok
    }
    missing.length = 0
    if (asks && total && !isYes(await console.ask(`${now} ${counted(total)}? [y/N] `))) {
      console.narrate('nothing was done')
      return cliExitCodes.failed
    }
    const progress =
      hasBar || console.barColumns === undefined ? new Progress(console, change.verb[1]) : undefined
    const { done: count, refused } = await carryOut(change, client, selection, console, (step) =>
      progress?.say(() => ({ ...step(), total })),
    )
    progress?.end()
    if (typed.json) console.print(JSON.stringify({ count, refused }))
    console.narrate(`${done} ${counted(count)}`)
    narrateMissing(missing, console)
    if (refused > 0) return cliExitCodes.failed
    return missing.length > 0 ? cliExitCodes.notFound : cliExitCodes.ok
  })
}

async function carryOut(
  { verb: [, , done], carryOut }: Change,
  client: Client,
  selection: DeadLetterSelection,
  console: Console,
  say: (step: () => Omit<Step, 'total'>) => void,
): Promise<DeadLetterProgress> {
  let last: DeadLetterProgress | undefined
  try {
    return await carryOut(client, selection, {
      onProgress(progress) {
        last = progress
        say(() => ({
          done: progress.done + progress.refused,
          line: `${done} ${counted(progress.done)} so far, up to sequence ${progress.sequence}`,
        }))
      },
      onRefused: ({ sequence }, why) => console.narrate(`dead letter ${sequence} stays where it is: ${why}`),
    })
  } catch (error) {
    if (last) console.narrate(`${done} ${counted(last.done)} until then; run it again to go on`)
    throw error
  }
}

function isYes(answer: string): boolean {
  return /^y(es)?$/i.test(answer.trim())
}

function counted(count: number): string {
  return count === 1 ? '1 dead letter' : `${count} dead letters`
}
