import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { HostAnswer, HostOrder, HostRetired } from './host-protocol.ts'

const lastLinesMs = 300

/** The process that runs the handlers (`host.ts`), as `millrace dev` holds it. */
export class HostProcess {
  /** Settles when the process is gone, with what it ended by: `exit code 70`, `SIGKILL`. */
  readonly ended: Promise<string>
  readonly #child: ChildProcess
  readonly #answered = new Map<number, (answer: HostAnswer) => void>()
  #generation = 0

  constructor(options: {
    readonly environment: NodeJS.ProcessEnv
    /** Hears every line of its log. */
    readonly onLine: (line: string) => void
    /** Hears of folders that nothing is needed of any more. */
    readonly onRetired: (folder: string) => void
  }) {
    const host = path.join(import.meta.dirname, 'host.js')
    // In a session of its own, so that Ctrl-C in a terminal reaches us only.
    this.#child = spawn(process.execPath, ['--enable-source-maps', host], {
      detached: true,
      env: options.environment,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    for (const output of [this.#child.stdout, this.#child.stderr])
      createInterface({ input: output! }).on('line', options.onLine)
    this.#child.on('message', (message: HostAnswer | HostRetired) => {
      if (message.kind === 'retired') options.onRetired(message.folder)
      else this.#answered.get(message.generation)?.(message)
    })
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message))
      this.#child.once('exit', (code, signal) => {
        const told = () => resolve(signal ?? `exit code ${code}`)
        // The last lines are read first, unless something that a handler has started keeps the pipe open.
        this.#child.once('close', told)
        setTimeout(told, lastLinesMs)
      })
    })
  }

  /** Changes over to the handlers of a folder; undefined when the process ended instead. */
  async run(folder: string | undefined, untried: readonly string[]): Promise<HostAnswer | undefined> {
    this.#generation += 1
    const generation = this.#generation
    const answer = new Promise<HostAnswer>((resolve) => this.#answered.set(generation, resolve))
    this.#order({ kind: 'run', generation, folder, untried })
    const first = await Promise.race([answer, this.ended.then(() => undefined)])
    this.#answered.delete(generation)
    return first
  }

  /** Lets it drain and waits for its end; called again, it is not waited for what runs. */
  async stop(): Promise<void> {
    this.#order({ kind: 'stop' })
    await this.ended
  }

  /** Ends it at once, with what its handlers have started. */
  kill(): void {
    const { pid } = this.#child
    if (pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      this.#child.kill('SIGKILL')
    }
  }

  #order(order: HostOrder): void {
    // One that has ended is told by `ended`.
    if (this.#child.connected) this.#child.send(order, () => {})
  }
}
