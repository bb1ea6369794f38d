import type { Command } from './command.ts'
import { changeFlags, runChange } from './dead-change.ts'
import { whichHelp } from './dead-selection.ts'

/** `millrace dead discard`: dead letters are thrown away. */
export const deadDiscard: Command = {
  name: 'dead discard',
  arguments: '[sequence|job id]...',
  takes: [0, Number.POSITIVE_INFINITY],
  summary: 'delete dead letters for good',
  details: `${whichHelp}\nWhat is deleted cannot be replayed any more; millrace dead export keeps a copy.`,
  flags: changeFlags,
  example: 'millrace dead discard --reason expired --yes',

  run: (typed, console) =>
    runChange(
      {
        verb: ['discard', 'discarding', 'discarded'],
        carryOut: (client, selection, options) => client.deadLetters.discard(selection, options),
      },
      typed,
      console,
    ),
}
