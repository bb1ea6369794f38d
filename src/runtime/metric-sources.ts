import type { PoolName } from '../core/handler-definition.ts'
import type { Engine } from '../engine/engine.ts'
import type { BrokerConnection } from '../nats/connection.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { LanePool } from '../threads/lane-pool.ts'

/** Tells the metrics where they read what is counted when somebody looks, and shows every handler from now on. */
export function connectMetrics(
  metrics: Metrics,
  sources: {
    readonly engine: Engine
    readonly connection: BrokerConnection
    readonly pools: ReadonlyMap<PoolName, LanePool>
  },
): void {
  const { engine, connection, pools } = sources
  const { handlers, inFlight, parts } = engine
  metrics.sources = {
    inFlight: () => inFlight.countByHandler(handlers),
    paused: () => handlers.map(({ profile, paused }) => [profile.name, paused] as const),
    parked: () => handlers.map(({ profile, parked }) => [profile.name, parked] as const),
    owners: () => parts.owners.standing(),
    threads: () => [...pools].map(([name, pool]) => [name, pool.countStates()] as const),
    connected: () => connection.connected,
    reconnects: () => connection.reconnects,
  }
  for (const handler of handlers) metrics.of(handler.profile.name)
}
