import { flagsOf } from './arguments.ts'
import type { Command, Flag } from './command.ts'
import { firstWords, quoted } from './completion-words.ts'

/** For the completion system of zsh (compinit). */
export function zshCompletion(commands: readonly Command[]): string {
  const first = firstWords(commands)
  const families = first.filter(({ second }) => second.length > 0)
  return [
    '#compdef millrace',
    '# Completes millrace in zsh. Written by: millrace completion zsh',
    '_millrace() {',
    '  local name=$words[2]',
    '  local -a choices',
    '  if (( CURRENT == 2 )); then',
    `    choices=(${first.map(described).join(' ')})`,
    '    _describe command choices',
    '    return',
    '  fi',
    '  case $name in',
    ...families.flatMap(({ word, second }) => [
      `  ${word})`,
      '    if (( CURRENT == 3 )); then',
      `      choices=(${second.map(described).join(' ')})`,
      '      _describe command choices',
      '      return',
      '    fi',
      '    name="$name $words[3]"',
      '    shift words',
      '    (( CURRENT-- ))',
      '    ;;',
    ]),
    '  esac',
    '  shift words',
    '  (( CURRENT-- ))',
    '  case $name in',
    ...commands.map(
      (command) => `  ${quoted(command.name)}) _arguments ${argumentsOf(command).map(quoted).join(' ')} ;;`,
    ),
    '  esac',
    '}',
    // The file may be found by its name in fpath, and then it is the function, or be sourced.
    'if [[ $funcstack[1] == _millrace ]]; then _millrace "$@"; else compdef _millrace millrace; fi',
    '',
  ].join('\n')
}

function described({ word, summary }: { word: string; summary: string }): string {
  return quoted(`${word}:${summary}`)
}

function argumentsOf(command: Command): string[] {
  const flags = Object.entries(flagsOf(command)).map(([name, flag]) => flagSpec(name, flag))
  return [...flags, command.choices ? `1:argument:(${command.choices.join(' ')})` : '*:argument:_files']
}

/** As `_arguments` wants it: `*` for a flag that may be repeated, and brackets around what it is for. */
function flagSpec(name: string, { help, value, multiple, choices }: Flag): string {
  const text = help.replaceAll(/[[\]\\:]/g, (special) => `\\${special}`)
  const takes = value === undefined ? '' : `:value:${choices ? `(${choices.join(' ')})` : ''}`
  return `${multiple ? '*' : ''}--${name}[${text}]${takes}`
}
