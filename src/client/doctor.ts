import type { Settings } from '../config/settings.ts'
import { controlPrefixes, pausedHandler } from '../core/control-keys.ts'
import { MillraceError } from '../core/errors.ts'
import { type Names, namesFor, priorities } from '../core/names.ts'
import { ClientBroker } from '../nats/client-broker.ts'
import type { BrokerConnection } from '../nats/connection.ts'
import { type ConsumerFacts, Examination, handlersOf } from '../nats/examination.ts'
import { connectWithin } from './connect-within.ts'
import {
  failed,
  judgeAccount,
  judgeClock,
  judgeConsumers,
  judgeDepth,
  judgeDurability,
  judgeLikelyHandlers,
  judgeRights,
  judgeServer,
  judgeStream,
  judgeTopology,
} from './doctor-rules.ts'
import type { Finding } from './finding.ts'

/** Whom the doctor looks at. */
export interface DoctorOptions {
  /** What supervisors are meant to run with. */
  readonly settings: Settings
  /** Handlers that must have a consumer; those that have one are looked at in any case. */
  readonly handlers: readonly string[]
  /** Handlers that probably should have one, because they are in the folder that nobody has named. */
  readonly likelyHandlers: readonly string[]
  readonly name: string
  readonly connectMs: number
  readonly inboxPrefix: string | undefined
}

/**
 * Looks for what keeps jobs from being run, and changes nothing:
 *
 * 1. whether the broker can be reached, and which version it has;
 * 2. the account's limits and the user's permissions;
 * 3. streams, consumers and buckets, compared with what supervisors with these settings need;
 * 4. whether something waits that nobody takes.
 *
 * What cannot be asked is a finding of its own, and the rest is looked at all the same.
 */
export async function examineBroker(options: DoctorOptions): Promise<Finding[]> {
  let connection: BrokerConnection
  try {
    connection = await connectWithin(options.settings, options)
  } catch (error) {
    return [failed('server', explained(error))]
  }
  try {
    return await examine(connection, options)
  } finally {
    await connection.close()
  }
}

async function examine(
  connection: BrokerConnection,
  { settings, handlers, likelyHandlers }: DoctorOptions,
): Promise<Finding[]> {
  const { version, nc, inboxPrefix } = connection
  const names = namesFor(settings.namespace)
  const examination = await Examination.begin(connection, names)
  const findings = judgeServer(version, nc.getServer())
  const check = async (name: string, look: () => Promise<Finding[]>): Promise<void> => {
    try {
      findings.push(...(await look()))
    } catch (error) {
      findings.push(failed(name, explained(error)))
    }
  }
  await check('limits', async () => judgeAccount(await examination.account()))
  await check('permissions', async () => judgeRights(await examination.rights(), names, inboxPrefix))
  await check('streams', async () => {
    const jobs = await examination.stream(names.jobStream)
    return jobs ? [...judgeClock(jobs, Date.now()), ...judgeDurability(jobs, version)] : []
  })
  await check('streams', () => judgeStreams(examination, names))
  let consumers: ConsumerFacts[] = []
  await check('consumers', async () => {
    consumers = await examination.consumers()
    const taken = handlersOf(consumers, names)
    return [...judgeConsumers(consumers, names), ...judgeLikelyHandlers(likelyHandlers, taken, settings)]
  })
  await check('topology', async () => {
    const all = [...new Set([...handlers, ...handlersOf(consumers, names)])].sort()
    return judgeTopology(await examination.topology(settings, connection, all, consumers), settings, all)
  })
  await check('queues', async () => {
    const broker = await ClientBroker.open(nc, names)
    const depth = await broker.depth()
    if (!depth) return []
    const pauses = await broker.control(controlPrefixes.paused)
    return judgeDepth(depth, new Set(pauses.map(({ key }) => pausedHandler(key))), names)
  })
  return findings
}

async function judgeStreams(examination: Examination, names: Names): Promise<Finding[]> {
  const streams = [
    ...priorities.map((priority) => names.streamOf(priority)),
    names.deadStream,
    names.delayedStream,
  ]
  const found = await Promise.all(streams.map((stream) => examination.stream(stream)))
  return found.flatMap((stream) => (stream ? judgeStream(stream) : []))
}

function explained(error: unknown): MillraceError {
  return error instanceof MillraceError
    ? error
    : new MillraceError('broker_request_failed', error instanceof Error ? error.message : String(error))
}
