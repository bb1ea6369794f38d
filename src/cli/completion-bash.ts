import { flagsOf } from './arguments.ts'
import type { Command } from './command.ts'
import { firstWords, quoted } from './completion-words.ts'

/** For bash 3.2 and newer; needs nothing of the package bash-completion. */
export function bashCompletion(commands: readonly Command[]): string {
  const first = firstWords(commands)
  const families = first.filter(({ second }) => second.length > 0)
  const starters = [...first.map(({ word }) => word), 'help', '--help', '--version']
  const seconds = families.map(
    ({ word, second }) => `    ${word}) words=${list(second.map((each) => each.word))} ;;`,
  )
  // What has no words of ours may be a file: -o default.
  return `# Completes millrace in bash. Written by: millrace completion bash
_millrace() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  local name="\${COMP_WORDS[1]}" at=1 words=""
  case "$name" in
  ${families.map(({ word }) => word).join('|')}) name="$name \${COMP_WORDS[2]}"; at=2 ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=${list(starters)}
  elif [ "$COMP_CWORD" -eq "$at" ]; then
    case "\${COMP_WORDS[1]}" in
${seconds.join('\n')}
    esac
  else
    case "$name $before" in
${valueCases(commands).join('\n')}
    *)
      case "$name" in
${commands.map(commandCase).join('\n')}
      esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _millrace millrace
`
}

function commandCase(command: Command): string {
  const flags = Object.entries(flagsOf(command)).map(([flag]) => `--${flag}`)
  return `      ${quoted(command.name)}) words=${list([...(command.choices ?? []), ...flags])} ;;`
}

/** What comes after the flags that take a value: for most of them nothing that is known here. */
function valueCases(commands: readonly Command[]): string[] {
  const free: string[] = []
  const cases: string[] = []
  for (const command of commands) {
    for (const [flag, { value, choices }] of Object.entries(flagsOf(command))) {
      const pattern = quoted(`${command.name} --${flag}`)
      if (choices) cases.push(`    ${pattern}) words=${list(choices)} ;;`)
      else if (value !== undefined) free.push(pattern)
    }
  }
  return [...cases, `    ${free.join('|')}) ;;`]
}

function list(words: readonly string[]): string {
  return quoted(words.join(' '))
}
