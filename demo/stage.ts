import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { type LocalBroker, startLocalBroker } from '#src/broker/local-broker.js'
import { assembleHandlers } from './handlers-folder.ts'
import { type SampleFiles, writeSampleFiles } from './sample-files.ts'
import { type LogLine, type SupervisorProcess, startSupervisor } from './supervisor-process.ts'
import { startWebhookReceiver, type WebhookReceiver } from './webhook-receiver.ts'

const buildDir = path.resolve(import.meta.dirname, '..')

/** Everything that runs during the demo. */
export type Stage = {
  readonly files: SampleFiles
  readonly receiver: WebhookReceiver
  readonly broker: LocalBroker
  readonly connection: NatsConnection
  readonly supervisor: SupervisorProcess
  /** Stops everything in reverse order and removes the files. */
  clear(): Promise<void>
}

/**
 * Starts the parts one after the other. When one fails, or `signal` aborts meanwhile, those that
 * run already are stopped before the error is thrown.
 */
export async function setStage(
  binary: string,
  signal: AbortSignal,
  onLine: (line: LogLine) => void,
): Promise<Stage> {
  const endings: (() => unknown)[] = []
  const clear = async () => {
    for (const end of endings.splice(0).reverse()) await end()
  }
  const started = <T>(part: T, end: (part: T) => unknown): T => {
    endings.push(() => end(part))
    signal.throwIfAborted()
    return part
  }
  try {
    // Inside the project, so that the handlers find the package `millrace` by its own name.
    const dir = started(mkdtempSync(path.join(buildDir, 'demo-run-')), (each) =>
      rmSync(each, { recursive: true, force: true }),
    )
    const handlersDir = path.join(dir, 'handlers')
    mkdirSync(handlersDir)
    assembleHandlers(handlersDir)
    const files = await writeSampleFiles(dir)
    const receiver = started(await startWebhookReceiver(), (each) => each.stop())
    const broker = started(await startLocalBroker({ binary }), (each) => each.stop())
    const connection = started(await connect({ servers: broker.url }), (each) => each.close())
    const settings = {
      NATS_URL: broker.url,
      MILLRACE_HANDLERS: handlersDir,
      MILLRACE_HTTP_PORT: '0',
      MILLRACE_THREADS: '2',
      MILLRACE_DRAIN_MS: '2000',
    }
    const supervisor = started(await startSupervisor({ settings, scratchDir: dir, onLine }), (each) =>
      each.stop(),
    )
    return { files, receiver, broker, connection, supervisor, clear }
  } catch (error) {
    await clear()
    throw error
  }
}
