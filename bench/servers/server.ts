import { createServer } from 'node:net'
import type { RunOptions } from '../scenario.ts'

/** A server of another system that can be run, and where it was found. */
export type ServerProgram = {
  readonly version: string
  /** Folders with libraries that the system does not have. */
  readonly libraryDirs: readonly string[]
  /** By the name of the program. */
  readonly paths: Readonly<Record<string, string>>
}

/** A running one, empty, on loopback. It ends with the run. */
export type RunningServer = {
  readonly url: string
  /** For its files and for those of the processes that use it; removed after the run. */
  readonly dir: string
  /** CPU time of it and all of its processes so far, in ms. */
  cpuMs(): number
}

/** How to start one for a run. */
export type StartServer = (options: RunOptions) => Promise<RunningServer>

/** The environment for a program with libraries of its own. */
export function environmentFor({ libraryDirs }: ServerProgram): NodeJS.ProcessEnv {
  const dirs = [...libraryDirs, process.env['LD_LIBRARY_PATH'] ?? ''].filter((dir) => dir !== '')
  return dirs.length === 0 ? process.env : { ...process.env, LD_LIBRARY_PATH: dirs.join(':') }
}

/** A port of loopback that nobody listens on, for servers that cannot choose one themselves. */
export async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
