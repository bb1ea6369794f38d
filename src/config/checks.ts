import { isIP } from 'node:net'
import { type SettingName, type SettingValues, settingTable } from './table.ts'

/**
 * Settings that cannot go together, one line each with the remedy. Looks at what was set, not at what
 * could be made of it, so that an unreadable NATS_KEY is not reported as a missing one, too.
 */
export function findContradictions(values: SettingValues, isSet: (name: SettingName) => boolean): string[] {
  const problems: string[] = []
  const { user, token } = values.natsUrl
  const credentials = [
    ...(user !== null || token !== null ? ['the user-info in NATS_URL'] : []),
    ...(['natsCreds', 'natsNkey', 'natsUser', 'natsToken'] as const)
      .filter(isSet)
      .map((name) => settingTable[name].variable),
  ]
  if (credentials.length > 1) {
    problems.push(`${credentials.join(' and ')} are several credentials at once; keep one of them`)
  }
  if (isSet('natsPassword') && !isSet('natsUser')) {
    problems.push('NATS_PASSWORD needs NATS_USER; set both or neither')
  }
  if (isSet('natsCert') !== isSet('natsKey')) {
    const [has, lacks] = isSet('natsCert') ? ['NATS_CERT', 'NATS_KEY'] : ['NATS_KEY', 'NATS_CERT']
    problems.push(`${has} needs ${lacks}, the other half of the pair; set both or neither`)
  }
  return problems
}

/** Settings that work and are probably not what was meant. */
export function findUnwise(
  values: SettingValues,
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  const found: [unwise: boolean, warning: string][] = [
    [
      values.threadMemoryMb !== null &&
        /--max[-_]old[-_]space[-_]size/.test(environment['NODE_OPTIONS'] ?? ''),
      `MILLRACE_THREAD_MEMORY_MB=${values.threadMemoryMb} has no effect while NODE_OPTIONS has --max-old-space-size: remove that flag`,
    ],
    [
      values.natsUser !== null && values.natsPassword === null,
      'NATS_USER has no NATS_PASSWORD: the server gets an empty password; a token belongs into NATS_TOKEN',
    ],
    [
      values.replicas > 1 && values.natsUrl.urls.length === 1,
      `MILLRACE_REPLICAS=${values.replicas} needs a cluster, and NATS_URL lists one server: list several, or the supervisor cannot start while that one is away`,
    ],
    [
      values.replicas % 2 === 0,
      `MILLRACE_REPLICAS=${values.replicas} survives the loss of no more servers than ${values.replicas - 1} would: use 3 or 5`,
    ],
    [
      values.storage === 'memory',
      'MILLRACE_STORAGE=memory: a restart of the broker loses every job that it has accepted',
    ],
    [
      values.drainMs > 25_000,
      `MILLRACE_DRAIN_MS=${values.drainMs} outlasts the 30 s after which Kubernetes kills a pod: raise terminationGracePeriodSeconds above ${Math.ceil((values.drainMs + values.graceMs + 2_000) / 1_000)}`,
    ],
    [
      values.ackWaitMs < 5_000,
      `MILLRACE_ACK_WAIT_MS=${values.ackWaitMs} is shorter than many a reconnect: jobs will run twice; use 5000 or more`,
    ],
    [
      values.deadlineMs > values.deadlineLimitMs,
      `MILLRACE_DEADLINE_MS=${values.deadlineMs} is above MILLRACE_DEADLINE_LIMIT_MS=${values.deadlineLimitMs}: a job that asks for the default deadline gets less than one that does not ask`,
    ],
    [
      values.maxAttempts > values.attemptsLimit,
      `MILLRACE_MAX_ATTEMPTS=${values.maxAttempts} is above MILLRACE_ATTEMPTS_LIMIT=${values.attemptsLimit}: a job that asks for the default gets fewer attempts than one that does not ask`,
    ],
    [
      values.backoffBaseMs > values.backoffMaxMs,
      `MILLRACE_BACKOFF_BASE_MS=${values.backoffBaseMs} is above MILLRACE_BACKOFF_MAX_MS=${values.backoffMaxMs}: every delay is cut to the latter`,
    ],
    [
      values.deadMaxAgeMs < values.duplicateWindowMs,
      `MILLRACE_DEAD_MAX_AGE_MS=${values.deadMaxAgeMs} is below MILLRACE_DUPLICATE_WINDOW_MS=${values.duplicateWindowMs}: a dead letter is forgotten before its duplicates are`,
    ],
    [
      values.httpPort !== 'off' && values.httpToken === null && !isLoopback(values.httpHost),
      `MILLRACE_HTTP_HOST=${values.httpHost} is not loopback and MILLRACE_HTTP_TOKEN is not set: whoever reaches the port may read health and metrics, and admin actions are off`,
    ],
    [
      values.httpToken !== null && values.httpToken.length < 16,
      'MILLRACE_HTTP_TOKEN has fewer than 16 characters: it can be guessed; `openssl rand -hex 16` makes a better one',
    ],
  ]
  return found.filter(([unwise]) => unwise).map(([, warning]) => warning)
}

/** Whether only this machine can reach what listens on `host`. A name counts when it says so itself. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.')
  return host === '::1' || host.toLowerCase() === 'localhost'
}
