import { createServer } from 'node:net'
import path from 'node:path'
import { startLocalBroker } from '../broker/local-broker.ts'
import { takeStoreFolder } from './work-folder.ts'

/** Where clients look when nobody tells them anything else. */
const usualPort = 4222
const usualUrl = `nats://127.0.0.1:${usualPort}`

/** The broker that handlers work for while they are written. */
export interface DevBroker {
  readonly url: string
  /** What to say about it. */
  readonly about: string
  /** What a supervisor or a command has to have in its environment to reach it. */
  readonly environment: NodeJS.ProcessEnv
  /** Whether a command in another terminal finds it by itself, or has to be told by `NATS_URL`. */
  readonly isUsual: boolean
  stop(): Promise<void>
}

/**
 * The broker of `NATS_URL`, or else one of our own, at the usual port if that is free.
 *
 * @param port - of our own one, 0 for any.
 * @param temporary - whether its jobs are forgotten at the end.
 */
export async function openDevBroker(about: {
  readonly environment: NodeJS.ProcessEnv
  readonly port: number | undefined
  readonly temporary: boolean
  readonly narrate: (line: string) => void
}): Promise<DevBroker> {
  const { environment, temporary, narrate } = about
  const given = environment['NATS_URL']
  if (given) {
    const shown = given.replaceAll(/\/\/[^@/,]*@/g, '//***@')
    return {
      url: shown,
      about: 'from NATS_URL',
      environment: { ...environment },
      // A password is not printed; who has it in one terminal has it in the other.
      isUsual: shown !== given || given === usualUrl,
      stop: async () => {},
    }
  }
  const port = about.port ?? ((await isFree(usualPort)) ? usualPort : 0)
  const store = temporary ? undefined : takeStoreFolder()
  try {
    const broker = await startLocalBroker({
      port: port === 0 ? -1 : port,
      narrate,
      ...(store && { storeDir: store.folder }),
    })
    const kept = store && path.relative(process.cwd(), store.folder)
    return {
      url: broker.url,
      about: `nats-server ${broker.version}, ${kept ? `jobs are kept in ${kept}` : 'jobs are forgotten at the end'}`,
      environment: { ...withoutNats(environment), NATS_URL: broker.url },
      isUsual: broker.url === usualUrl,
      stop: async () => {
        await broker.stop()
        store?.release()
      },
    }
  } catch (error) {
    store?.release()
    throw error
  }
}

/** Credentials and certificates are for some other server. */
function withoutNats(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('NATS_')))
}

/** Whether a port of this machine can be listened on. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
