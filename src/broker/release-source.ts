import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { serverFileName } from './find-server.ts'

const run = promisify(execFile)

/** The release that is downloaded where the distribution has no package. */
export const releaseVersion = '2.15.1'

const releaseUrl = `https://github.com/nats-io/nats-server/releases/download/v${releaseVersion}`
const timeoutMs = 120_000
const maxTries = 3

/**
 * Downloads the official archive for this platform below `workDir`, compares it with the release's
 * own `SHA256SUMS` and unpacks it with the system's `tar`. An archive without a checksum, or with
 * another one, is refused. `baseUrl` may name a mirror.
 */
export async function fetchRelease(
  workDir: string,
  narrate: (line: string) => void,
  baseUrl = releaseUrl,
): Promise<string> {
  const folder = `nats-server-v${releaseVersion}-${platformName()}`
  const archiveName = `${folder}.${process.platform === 'win32' ? 'zip' : 'tar.gz'}`
  narrate(`downloading ${baseUrl}/${archiveName}`)
  const sums = (await download(`${baseUrl}/SHA256SUMS`)).toString('utf8')
  const expected = checksumOf(sums, archiveName)
  if (expected === undefined) throw new Error(`SHA256SUMS of the release does not name ${archiveName}`)
  const archive = await download(`${baseUrl}/${archiveName}`)
  const actual = createHash('sha256').update(archive).digest('hex')
  if (actual !== expected) {
    throw new Error(`${archiveName} has SHA-256 ${actual}, the release says ${expected}: not used`)
  }
  const file = path.join(workDir, archiveName)
  await writeFile(file, archive)
  await run('tar', ['-xf', file, '-C', workDir], { timeout: timeoutMs })
  return path.join(workDir, folder, serverFileName)
}

function checksumOf(sums: string, archiveName: string): string | undefined {
  for (const line of sums.split('\n')) {
    const [sum, name] = line.trim().split(/\s+\*?/)
    if (name === archiveName) return sum
  }
  return undefined
}

function platformName(): string {
  const systems: Partial<Record<NodeJS.Platform, string>> = {
    linux: 'linux',
    darwin: 'darwin',
    win32: 'windows',
    freebsd: 'freebsd',
  }
  const processors: Partial<Record<NodeJS.Architecture, string>> = {
    x64: 'amd64',
    arm64: 'arm64',
    arm: 'arm7',
    ia32: '386',
    s390x: 's390x',
    ppc64: 'ppc64le',
  }
  const system = systems[process.platform]
  const processor = processors[process.arch]
  if (system === undefined || processor === undefined) {
    throw new Error(`no release is known for ${process.platform} on ${process.arch}`)
  }
  return `${system}-${processor}`
}

async function download(url: string): Promise<Buffer> {
  for (let tries = 1; ; tries += 1) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
      if (response.ok) return Buffer.from(await response.arrayBuffer())
      const refusal = new Error(`${url} answered ${response.status}`)
      if (response.status < 500 || tries === maxTries) throw Object.assign(refusal, { final: true })
    } catch (error) {
      if ((error as { final?: true }).final) throw error
      if (tries === maxTries)
        throw new Error(`${url} cannot be reached (${reasonOf(error)})`, { cause: error })
    }
  }
}

/** `fetch` hides the interesting part, such as ENOTFOUND, in the cause. */
function reasonOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: { code?: string; message?: string } }
  return cause?.code ?? cause?.message ?? message
}
