import { execFile } from 'node:child_process'
import { mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Package lists are some ten megabytes; a machine that needs longer than this has no network. */
const timeoutMs = 180_000

/** A mirror that cannot be reached is noticed in seconds instead of apt's two minutes. */
const impatient = ['-o', 'Acquire::http::Timeout=15', '-o', 'Acquire::https::Timeout=15']

/**
 * Fetches Debian's or Ubuntu's own package below `workDir` and unpacks it there: no root, nothing
 * installed, no service started. apt checks the signature. When the machine's package lists are
 * missing or too old, as in most container images, lists of our own are read into `workDir`; the
 * system's are left alone.
 */
export async function fetchWithApt(workDir: string, narrate: (line: string) => void): Promise<string> {
  await requireApt(workDir)
  narrate('fetching the package nats-server with apt-get download (nothing is installed)')
  try {
    await runApt(workDir, ['download', 'nats-server'])
  } catch {
    narrate('the package lists do not have it, reading lists of our own with apt-get update')
    const ownLists = await prepareOwnLists(workDir)
    await runApt(workDir, [...ownLists, 'update'])
    await runApt(workDir, [...ownLists, 'download', 'nats-server'])
  }
  const archive = (await readdir(workDir)).find((name) => name.endsWith('.deb'))
  if (archive === undefined) throw new Error('apt-get download left no package')
  const unpacked = path.join(workDir, 'unpacked')
  await run('dpkg', ['-x', path.join(workDir, archive), unpacked], { timeout: timeoutMs })
  return path.join(unpacked, 'usr', 'sbin', 'nats-server')
}

/**
 * Resolves when packages can be fetched on this machine.
 *
 * @throws an error whose message says why they cannot.
 */
export async function requireApt(workDir: string): Promise<void> {
  if (process.platform !== 'linux') throw new Error(`apt is not for ${process.platform}`)
  await runApt(workDir, ['--version']).catch(() => {
    throw new Error('this machine has no apt-get')
  })
}

/** Options that make apt keep its lists and its cache in `workDir`, where an ordinary user may write. */
export async function prepareOwnLists(workDir: string): Promise<string[]> {
  const lists = path.join(workDir, 'lists')
  const cache = path.join(workDir, 'cache')
  await mkdir(path.join(lists, 'partial'), { recursive: true })
  await mkdir(path.join(cache, 'archives', 'partial'), { recursive: true })
  const settings = [`Dir::State::lists=${lists}`, `Dir::Cache=${cache}`, 'Debug::NoLocking=true']
  return settings.flatMap((setting) => ['-o', setting])
}

/**
 * Runs `apt-get` in `workDir` and answers what it printed. An error is apt's own complaint, in one line.
 */
export async function runApt(workDir: string, args: readonly string[]): Promise<string> {
  // As root apt would fetch as the user `_apt`, who may not write here.
  const asOurselves = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : []
  try {
    const { stdout } = await run('apt-get', ['-q', ...impatient, ...asOurselves, ...args], {
      cwd: workDir,
      timeout: timeoutMs,
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    })
    return stdout
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string }
    const complaint = (stderr ?? '').split('\n').find((line) => line.startsWith('E:'))
    throw new Error(complaint?.slice(2).trim() ?? message.split('\n')[0]!, { cause: error })
  }
}
