import { hostname, userInfo } from 'node:os'
import type { Client } from '../client/client.ts'
import { createClient } from '../client/create-client.ts'

/** A command gives up on the broker after this; contract. */
export const patienceMs = 5_000

/** Runs with a client for the broker that the environment names, and closes it. */
export async function withClient<T>(use: (client: Client) => Promise<T>): Promise<T> {
  const client = await createClient({
    name: clientName(),
    connectMs: patienceMs,
    requestMs: patienceMs,
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
