import type { Engine } from '../engine/engine.ts'
import type { BrokerConnection } from '../nats/connection.ts'
import type { JetStreamBroker } from '../nats/jetstream-broker.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { HandlerFault } from '../threads/lane-protocol.ts'

/** Handlers that cannot be used, in the order in which that was noticed; each is logged once. */
export class HandlerFaults {
  readonly #logger: Logger
  readonly #faults = new Map<string, HandlerFault>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  add(fault: HandlerFault): void {
    if (this.#faults.has(fault.name)) return
    this.#faults.set(fault.name, fault)
    this.#logger.error(
      { handler: fault.name, err: { code: fault.code, message: fault.message } },
      'handler cannot be used, its jobs wait',
    )
  }

  get all(): readonly HandlerFault[] {
    return [...this.#faults.values()]
  }
}

/** What decides whether a supervisor takes work; parts that are not there yet are left out. */
export interface ReadinessParts {
  readonly phase: 'starting' | 'running' | 'draining'
  readonly connection: BrokerConnection | undefined
  readonly broker: JetStreamBroker | undefined
  readonly engine: Engine | undefined
  readonly faults: HandlerFaults
}

/** Why a supervisor is not taking work, or not all of it; empty when it is. */
export function reasonsNotReady({ phase, connection, broker, engine, faults }: ReadinessParts): string[] {
  const reasons: string[] = []
  if (phase !== 'running') reasons.push(phase)
  if (connection && !connection.connected) reasons.push('not connected to NATS')
  for (const missing of broker?.missing ?? []) reasons.push(`missing ${missing}`)
  for (const pool of engine?.parts.threadless.names ?? [])
    reasons.push(`no thread of the pool ${pool} is ready`)
  for (const { name, message } of faults.all) reasons.push(`handler ${name}: ${message}`)
  return reasons
}
