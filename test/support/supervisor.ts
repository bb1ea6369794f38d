import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { eventually, GiveUp } from './eventually.ts'
import { Metrics } from './metrics.ts'

export const projectRoot = join(import.meta.dirname, '../../..')
const program = join(projectRoot, 'dist/supervisor.js')
const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** A pino line of the supervisor or of a handler's logger. */
export interface LogLine {
  level: number
  time: unknown
  msg: string
  [field: string]: unknown
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** `node dist/supervisor.js` as its operator meets it: a process, its output, its HTTP port. */
export class Supervisor {
  readonly pid: number
  /** Settles when the process is gone and all its output has been read. */
  readonly exited: Promise<Exit>
  exit: Exit | undefined
  stdout = ''
  stderr = ''
  /** The lines of stdout that are JSON objects, parsed. */
  readonly lines: LogLine[] = []
  readonly #child: ChildProcess
  #rest = ''

  /** Starts it with exactly this environment, as the last words of the launcher's command line if there is one. */
  constructor(env: Record<string, string>, args: readonly string[] = [], launcher: readonly string[] = []) {
    const base = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' }
    const [command, ...words] = [...launcher, process.execPath, program, ...args]
    const child = spawn(command!, words, {
      env: { ...base, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.pid = child.pid ?? -1
    children.add(child)
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        children.delete(child)
        this.exit = { code, signal }
        resolve(this.exit)
      })
    })
  }

  get output(): string {
    return this.stdout + this.stderr
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  async kill(): Promise<void> {
    if (this.exit === undefined) this.signal('SIGKILL')
    await this.exited
  }

  /** Asks the supervisor to stop and returns how it ended, which must be within `withinMs`. */
  async stop(withinMs = 30_000): Promise<Exit> {
    this.signal('SIGTERM')
    return this.ended(withinMs)
  }

  /** How the process ended, which must happen by itself within `withinMs`. */
  async ended(withinMs = 30_000): Promise<Exit> {
    return eventually(`process ${this.pid} ends; it last said ${this.tail()}`, () => this.exit, withinMs)
  }

  /** Waits for a log line. */
  line(what: string | ((line: LogLine) => boolean), withinMs?: number): Promise<LogLine> {
    const fits = typeof what === 'string' ? (line: LogLine) => line.msg === what : what
    return eventually(
      `a log line that fits ${what}`,
      () => this.lines.find(fits) ?? this.stillRuns(),
      withinMs,
    )
  }

  /**
   * Whether it had no processor for so long that leases of jobs may have run out; what these make sure of cannot be
   * asked of it then.
   */
  get wasHeldUp(): boolean {
    return this.lines.some(({ msg }) => msg === 'held up, leases renewed late')
  }

  linesAbout(jobId: string): LogLine[] {
    return this.lines.filter((line) => line['job_id'] === jobId)
  }

  /** The messages of its last log lines, without those of ticks, which go on for ever. */
  lastSaid(count: number): string {
    const last = this.lines.filter(({ msg }) => msg !== 'tick published').slice(-count)
    return JSON.stringify(last.map(({ msg, time }) => `${time} ${msg}`))
  }

  async url(): Promise<string> {
    return String((await this.line('listening'))['url'])
  }

  /** Waits for `/readyz` to say yes. */
  async ready(withinMs?: number): Promise<this> {
    // Not asked before it says so: the answers would cost it as much as its start.
    await this.line('running', withinMs)
    await eventually(
      'the supervisor is ready',
      async () => {
        const { status, body } = await this.get('/readyz')
        if (status !== 200) throw new Error(`/readyz says ${status} ${body}`)
        return true
      },
      withinMs,
    )
    return this
  }

  async get(path: string): Promise<{ status: number; body: string }> {
    this.stillRuns()
    const response = await fetch(`${await this.url()}${path}`, { signal: AbortSignal.timeout(10_000) })
    return { status: response.status, body: await response.text() }
  }

  async metrics(): Promise<Metrics> {
    const { status, body } = await this.get('/metrics')
    if (status !== 200) throw new Error(`/metrics says ${status} ${body}`)
    return new Metrics(body)
  }

  /** Waits until the samples of a metric with these labels add up to exactly this. */
  async metric(name: string, labels: Record<string, string>, expected: number): Promise<void> {
    await eventually(`${name}${JSON.stringify(labels)} is ${expected}`, async () => {
      const sum = (await this.metrics()).sum(name, labels)
      if (sum !== expected) throw new Error(`it is ${sum}`)
      return true
    })
  }

  tail(): string {
    return JSON.stringify(this.output.slice(-1500))
  }

  /** @throws {GiveUp} when it has ended, so that who waits for something that only it can do waits no longer. */
  stillRuns(): undefined {
    if (this.exit !== undefined) {
      throw new GiveUp(`the supervisor ended with ${JSON.stringify(this.exit)} and said ${this.tail()}`)
    }
    return undefined
  }

  #read(text: string): void {
    this.stdout += text
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      try {
        const parsed: unknown = JSON.parse(line)
        if (typeof parsed === 'object' && parsed !== null) this.lines.push(parsed as LogLine)
      } catch {
        // A handler may print what it likes; `stdout` keeps it.
      }
    }
  }
}
