import { hostname, userInfo } from 'node:os'
import type { Client } from '../client/client.ts'
import { openClient } from '../client/create-client.ts'
import { readCliSettings } from './cli-settings.ts'
import type { Typed } from './command.ts'

/** A command gives up on the broker after this; contract. */
export const patienceMs = 5_000

/** Runs with a client for the broker that the environment names, or the context does, and closes it. */
export async function withClient<T>(
  { context }: Pick<Typed, 'context'>,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const { settings, inboxPrefix } = readCliSettings(context)
  const client = await openClient(settings, {
    name: clientName(),
    connectMs: patienceMs,
    requestMs: patienceMs,
    inboxPrefix,
  })
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

/** Who types here: `sam@ops`. */
export function clientName(): string {
  return `${userName()}@${hostname()}`
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A container may run as a user that has no name.
    return String(process.getuid?.() ?? 'cli')
  }
}
