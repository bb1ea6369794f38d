import { type Command, cliExitCodes, usageError } from './command.ts'
import { bashCompletion } from './completion-bash.ts'
import { fishCompletion } from './completion-fish.ts'
import { zshCompletion } from './completion-zsh.ts'

const scripts: Readonly<Record<string, (commands: readonly Command[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
}

/** `millrace completion`: a script that lets a shell complete the commands of the help. */
export function completionOf(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    arguments: `<${Object.keys(scripts).join('|')}>`,
    takes: [1, 1],
    choices: Object.keys(scripts),
    summary: 'print a script that completes commands in a shell',
    details:
      'bash: source <(millrace completion bash), in ~/.bashrc.\n' +
      'zsh:  millrace completion zsh > ~/.zfunc/_millrace, where ~/.zfunc is in fpath.\n' +
      'fish: millrace completion fish > ~/.config/fish/completions/millrace.fish',
    flags: {},
    ownConnection: true,
    example: 'source <(millrace completion bash)',

    async run({ positionals: [shell], json }, console) {
      if (!Object.hasOwn(scripts, shell!)) {
        const known = Object.keys(scripts).join(', ')
        throw usageError(`the shell must be one of ${known}, got ${JSON.stringify(shell)}`)
      }
      const script = scripts[shell!]!(commands())
      console.print(json ? JSON.stringify({ shell, script }) : script.trimEnd())
      return cliExitCodes.ok
    },
  }
}
