import type { TestContext } from 'node:test'
import { findServer, isOlder } from '#src/broker/find-server.js'
import { type LocalBroker, type LocalBrokerOptions, startLocalBroker } from '#src/broker/local-broker.js'

const server = await findServer()
if (server === undefined) throw new Error('the tests need a nats-server: run npm run setup')

/** The version of the server that the tests run against, such as `2.9.10`. */
export const serverVersion: string = server.version

/** Path of the server that the tests run against. */
export const serverBinary: string = server.path

/**
 * For a test's `skip` option: false when the server under test is at least `version`, else the
 * reason to skip, so that a feature of newer servers is tested where it exists.
 */
export function unlessServer(version: string): string | false {
  return isOlder(serverVersion, version) && `needs nats-server ${version}, this is ${serverVersion}`
}

/** Starts a server of the test's own, with a temporary store, and stops it when the test ends. */
export async function startTestServer(
  t: Pick<TestContext, 'after'>,
  options: LocalBrokerOptions = {},
): Promise<LocalBroker> {
  const broker = await startLocalBroker({ binary: serverBinary, ...options })
  t.after(() => broker.stop())
  return broker
}
