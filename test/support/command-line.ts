import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { projectRoot } from './supervisor.ts'

const program = join(projectRoot, 'dist/cli/main.js')

/** How a command ended, and what it wrote. */
export interface CommandRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command that runs. */
export interface RunningCommand {
  readonly pid: number
  readonly ended: Promise<CommandRun>
  /** What it has written so far. */
  readonly stdout: string
  readonly stderr: string
  kill(signal: NodeJS.Signals): void
}

/** Runs `millrace` as a process with exactly this environment. */
export function millrace(
  args: readonly string[],
  env: Record<string, string>,
  stdin: string | Uint8Array = '',
): Promise<CommandRun> {
  return startMillrace(args, env, stdin).ended
}

/** The same, for a test that does something to the process meanwhile. */
export function startMillrace(
  args: readonly string[],
  env: Record<string, string>,
  stdin: string | Uint8Array = '',
  /** Where it runs, and after how long it is ended. */
  { cwd, timeoutMs = 60_000 }: { cwd?: string; timeoutMs?: number } = {},
): RunningCommand {
  const base = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' }
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { ...base, ...env },
    timeout: timeoutMs,
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  const ended = new Promise<CommandRun>((resolve) =>
    child.once('close', (code) => resolve({ code, stdout, stderr })),
  )
  return {
    pid: child.pid!,
    ended,
    get stdout() {
      return stdout
    },
    get stderr() {
      return stderr
    },
    kill: (signal) => child.kill(signal),
  }
}
