import { MillraceError } from '../core/errors.ts'

/** One flag of a command. */
export interface Flag {
  /** What its value is, for the help; a flag without one takes none. */
  readonly value?: string
  /** Every value that there is, for shells to complete. */
  readonly choices?: readonly string[]
  readonly help: string
  /** It may be given several times. */
  readonly multiple?: true
}

/** What was typed after the command's name, checked against its flags. */
export interface Typed {
  readonly positionals: readonly string[]
  readonly json: boolean
  /** The nats context that was asked for. */
  readonly context: string | undefined
  /** The value of a flag that was given. */
  text(flag: string): string | undefined
  /** Every value of a flag that may be repeated. */
  texts(flag: string): readonly string[]
}

/** The whole of a terminal, for a view that is drawn again and again. */
export interface Screen {
  readonly columns: number
  readonly rows: number
  /** Shows these lines, which fit, in the place of what was there. */
  draw(lines: readonly string[]): void
  /** Hears every key (`q`, `up`, `down`, …), `resize` for another size, and `quit` for Ctrl-C and signals. */
  onKey: (key: string) => void
  /** Gives the terminal back as it was; whatever ends the process does so, too. */
  close(): void
}

/** Where a command writes: data to stdout, narration to stderr. */
export interface Console {
  print(text: string): void
  narrate(text: string): void
  /** All of stdin. */
  read(): Promise<Buffer>
  /** Resolves when what was printed has been taken, so that millions of lines do not pile up. */
  taken(): Promise<void>
  /** Wipes the terminal that the data goes to; nothing when it goes elsewhere. */
  wipe(): void
  /** Whether somebody sits at stdin and can be asked. */
  readonly interactive: boolean
  /** Asks on stderr, and answers with the line that is typed. */
  ask(question: string): Promise<string>
  /** Writes to the terminal of the data what is more than text; whoever calls has escaped what is not his. */
  paint(sequences: string): void
  /** Takes the terminal as a whole; undefined when there is none. */
  openScreen(): Screen | undefined
  /** How wide the terminal is that narration goes to; undefined when it goes elsewhere, or moves no cursor. */
  readonly barColumns: number | undefined
  /** Shows a line there that the next one, and narration, takes the place of; an empty one takes it away. */
  drawBar(line: string): void
  /** Whether that terminal shows colours, and nobody has said that he wants none. */
  readonly colours: boolean
  /** How wide the terminal is that the data goes to; undefined when it goes elsewhere. */
  readonly columns: number | undefined
}

/** One command, in a file of its own. */
export interface Command {
  /** As it is typed: `schedules ls`. */
  readonly name: string
  /** What comes after the name: `<handler> [json|-|@file]`. */
  readonly arguments: string
  /** How many arguments there may be. */
  readonly takes: readonly [least: number, most: number]
  /** Everything that the first argument can be, for shells to complete. */
  readonly choices?: readonly string[]
  readonly summary: string
  /** What the help says below the usage. */
  readonly details?: string
  readonly flags: Readonly<Record<string, Flag>>
  readonly example: string
  /** It connects by itself, or not at all, so there is no context to choose. */
  readonly ownConnection?: true
  /** What wrong usage exits with, when it is not 2. */
  readonly usageExitCode?: number
  /** Returns the exit code. */
  run(typed: Typed, console: Console): Promise<number>
}

/** The exit codes of every command but `start`; contract. */
export const cliExitCodes = { ok: 0, failed: 1, usage: 2, notFound: 3, unreachable: 4 } as const

/** The exit code for an error that ended a command. */
export function cliExitCodeOf(error: unknown, usageExitCode: number = cliExitCodes.usage): number {
  if (!(error instanceof MillraceError)) return cliExitCodes.failed
  switch (error.code) {
    case 'invalid_arguments':
      return usageExitCode
    case 'invalid_job':
      return cliExitCodes.usage
    case 'broker_unreachable':
      return cliExitCodes.unreachable
    case 'wait_timeout':
      return cliExitCodes.notFound
    default:
      return cliExitCodes.failed
  }
}

/** The error of what was typed wrongly. */
export function usageError(message: string): MillraceError {
  return new MillraceError('invalid_arguments', message)
}
