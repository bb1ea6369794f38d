import { execFileSync } from 'node:child_process'
import os from 'node:os'
import path from 'node:path'
import { usableVersion } from '#src/broker/find-server.js'

const projectDir = path.resolve(import.meta.dirname, '../../..')

/** What somebody must know to judge the numbers, or to measure them again. */
export type Environment = {
  readonly date: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly system: string
  /** What the processes under test run on. */
  readonly node: string
  readonly natsServer: string
  /** Versions of other job systems and their servers; empty when none took part. */
  readonly peers: Readonly<Record<string, string>>
  /** Other job systems that were asked for and could not take part, and why. */
  readonly leftOut: readonly string[]
  /** Of the project; `+` when files differ from it, undefined without git. */
  readonly commit: string | undefined
  readonly command: string
  /** Load of the machine before the first run, so not ours; 0 on Windows. */
  readonly loadBefore: number
}

/** Looks around. To be called before the first run. */
export async function describeEnvironment(
  binary: string,
  command: string,
  others: Partial<Pick<Environment, 'node' | 'peers' | 'leftOut'>> = {},
): Promise<Environment> {
  return {
    date: new Date().toISOString(),
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    natsServer: await usableVersion(binary),
    peers: {},
    leftOut: [],
    commit: findCommit(),
    command,
    loadBefore: Math.round(os.loadavg()[0]! * 100) / 100,
    ...others,
  }
}

function findCommit(): string | undefined {
  try {
    const commit = git('rev-parse', 'HEAD').slice(0, 12)
    return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+`
  } catch {
    return undefined
  }
}

function git(...args: string[]): string {
  return execFileSync('git', args, {
    cwd: projectDir,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
}
