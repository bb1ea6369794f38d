import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The folder of the project, where every command of these scripts runs. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** Says on stderr what a script does, so that stdout stays free for results. */
export function narrate(line) {
  process.stderr.write(`· ${line}\n`)
}

/** An error whose message is all that a person needs; scripts print it without a stack. */
export class ScriptError extends Error {
  name = 'ScriptError'
}

/** Runs a command in the project with our own streams; answers its exit code. */
export function runCommand(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: 'inherit',
      shell: process.platform === 'win32',
      ...options,
    })
    child.once('error', (error) => reject(new ScriptError(`${command} cannot be started: ${error.message}`)))
    child.once('exit', (code, signal) => resolve(signal === null ? code : 1))
  })
}

/** Runs a script's main function; what it throws ends the process with exit code 1. */
export async function runMain(main) {
  try {
    await main()
  } catch (error) {
    // These were written for people; anything else is a defect of ours and needs its stack.
    const isForPeople = ['ScriptError', 'MillraceError', 'DemoError', 'BenchError'].includes(error?.name)
    process.stderr.write(`\n${isForPeople ? error.message : (error?.stack ?? error)}\n`)
    process.exitCode = 1
  }
}
