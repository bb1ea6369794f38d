import type { DeadLetterRecord } from '../core/dead-letter-record.ts'
import type { Command } from './command.ts'
import { changeFlags, runChange } from './dead-change.ts'
import { readNumber, whichHelp } from './dead-selection.ts'
import { editPayload } from './edit-payload.ts'

/** `millrace dead replay`: jobs that were given up on start again. */
export const deadReplay: Command = {
  name: 'dead replay',
  arguments: '[sequence|job id]...',
  takes: [0, Number.POSITIVE_INFINITY],
  summary: 'publish the jobs of dead letters again and delete the dead letters',
  details:
    `${whichHelp}\n` +
    'A dead letter is deleted once the server has stored its job, so nothing is lost when this is interrupted:\n' +
    'run it again and it goes on, and no job runs twice for it. A job that dies again is a new dead letter, which\n' +
    'is left for the next time. Exits with 1 when a dead letter cannot be replayed; it stays where it is.\n' +
    'With --edit each payload is opened in $VISUAL or $EDITOR first; one that is emptied is not replayed, and an editor\n' +
    'that fails (:cq in vi) ends it all.',
  flags: {
    ...changeFlags,
    edit: { help: 'change the payload of each in $EDITOR first' },
    rate: { value: '<jobs per second>', help: 'not faster than that' },
  },
  example: 'millrace dead replay --handler email.send --since 2h --rate 50',

  async run(typed, console) {
    const must = 'a number of jobs a second above 0'
    const rate = readNumber('--rate', typed.text('rate'), /^(?=.*[1-9])\d{1,9}(\.\d{1,6})?$/, must)
    const edit =
      typed.texts('edit').length > 0 ? (letter: DeadLetterRecord) => editPayload(letter, console) : undefined
    return runChange(
      {
        verb: ['replay', 'replaying', 'replayed'],
        isByHand: edit !== undefined,
        carryOut: (client, selection, options) =>
          client.deadLetters.replay(selection, { ...options, rate, edit }),
      },
      typed,
      console,
    )
  },
}
