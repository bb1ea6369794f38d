import { flagsOf } from './arguments.ts'
import type { Command } from './command.ts'
import { firstWords } from './completion-words.ts'

/** For fish 3 and newer. */
export function fishCompletion(commands: readonly Command[]): string {
  const lines = ['# Completes millrace in fish. Written by: millrace completion fish']
  for (const { word, summary, second } of firstWords(commands)) {
    lines.push(`complete -c millrace -f -n __fish_use_subcommand -a ${word} -d ${fishQuoted(summary)}`)
    const here = `__fish_seen_subcommand_from ${word}; and not __fish_seen_subcommand_from ${second.map((each) => each.word).join(' ')}`
    for (const { word: next, summary: does } of second)
      lines.push(`complete -c millrace -f -n ${fishQuoted(here)} -a ${next} -d ${fishQuoted(does)}`)
  }
  for (const command of commands) {
    const seen = command.name.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`)
    const here = fishQuoted(seen.join('; and '))
    if (command.choices)
      lines.push(`complete -c millrace -f -n ${here} -a ${fishQuoted(command.choices.join(' '))}`)
    for (const [name, { help, value, choices }] of Object.entries(flagsOf(command))) {
      const takes = value === undefined ? '' : choices ? ` -x -a ${fishQuoted(choices.join(' '))}` : ' -r'
      lines.push(`complete -c millrace -n ${here} -l ${name}${takes} -d ${fishQuoted(help)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

/** Within single quotes fish knows these two escapes. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, (special) => `\\${special}`)}'`
}
