import { type LocalBroker, startLocalBroker } from '../broker/local-broker.ts'

/** A nats-server of a test's own. */
export interface TestBroker extends LocalBroker, AsyncDisposable {}

/** Which nats-server, and how it runs. Every field is optional. */
export interface TestBrokerOptions {
  /** @default `MILLRACE_NATS_SERVER`, the one on `PATH`, or one that is downloaded once and kept */
  binary?: string | undefined
  /** Text of a configuration file, for accounts, TLS or limits. Address, port and store stay the broker's own. */
  config?: string | undefined
  /** Hears where the server comes from. */
  narrate?: ((line: string) => void) | undefined
}

/**
 * Starts a nats-server with JetStream on a free port of 127.0.0.1, with a temporary store. It ends, and its store goes,
 * with `stop()`, at the end of an `await using`, or with this process, however that dies.
 *
 * @throws {MillraceError} `server_not_found` when there is none and none can be obtained; `broker_unreachable` when it
 *   does not start.
 */
export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const { binary, config, narrate } = options
  const broker = await startLocalBroker({
    ...(binary === undefined ? {} : { binary }),
    ...(config === undefined ? {} : { config }),
    ...(narrate === undefined ? {} : { narrate }),
  })
  // Its url and pid are read anew each time, so it is not copied.
  return Object.assign(broker, { [Symbol.asyncDispose]: () => broker.stop() })
}
