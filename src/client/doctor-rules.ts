import type { Settings } from '../config/settings.ts'
import type { ErrorCode, MillraceError } from '../core/errors.ts'
import { whereQuestion } from '../core/job-position.ts'
import { consumerName, isHandlerName, type Names } from '../core/names.ts'
import { coversSubject, subjectsMeet } from '../core/subject-cover.ts'
import { hasSoundSchedules } from '../nats/delayed-topology.ts'
import { nameMissing, type TopologyReport } from '../nats/ensure.ts'
import type { AccountUse, ConsumerFacts, Rights, StreamFacts, UserRights } from '../nats/examination.ts'
import type { QueueDepth } from '../nats/queue-depth.ts'
import type { ServerVersion } from '../nats/server-version.ts'
import { advice, type Finding, fine, wrong } from './finding.ts'

const fullShare = 0.8
const clockToleranceMs = 2_000

/** A command for what a supervisor does by itself when it may. */
export const manageRemedy =
  'start a supervisor with MILLRACE_MANAGE=true: MILLRACE_MANAGE=true millrace start'

/** The setting that a field of a stream, consumer or bucket comes from. */
const settingOfField: Readonly<Record<string, string>> = {
  ack_wait: 'MILLRACE_ACK_WAIT_MS',
  num_replicas: 'MILLRACE_REPLICAS',
  storage: 'MILLRACE_STORAGE',
  max_msgs: 'MILLRACE_MAX_JOBS',
  max_bytes: 'MILLRACE_MAX_BYTES',
  duplicate_window: 'MILLRACE_DUPLICATE_WINDOW_MS',
}
const fixedOfConsumers = ['deliver_policy', 'replay_policy', 'max_waiting']

const remedies: Readonly<Partial<Record<ErrorCode, string>>> = {
  broker_unreachable: 'start a NATS server there (nats-server -js), or set NATS_URL',
  not_permitted:
    'give the user of NATS_CREDS, NATS_NKEY, NATS_TOKEN or NATS_USER this permission, or use another one',
  jetstream_disabled: 'start the server with nats-server -js, or enable JetStream for the account',
  topology_conflict: 'rename or remove it, or set another MILLRACE_NAMESPACE',
  invalid_settings: 'millrace config shows what is set, and docs/settings.md what may be',
}

/** A question that could not be asked, or was not answered. */
export function failed(check: string, error: MillraceError): Finding {
  return wrong(check, error.message, remedies[error.code] ?? 'look at the log of the NATS server')
}

export function judgeServer(version: ServerVersion, url: string): Finding[] {
  const name = `nats-server ${version.major}.${version.minor}.${version.patch}`
  const findings = [fine('server', `${name} at ${url}`)]
  const upgrade = 'upgrade it to 2.12.10, 2.14.2 or newer'
  if (version.major === 2 && version.minor < 10) {
    const flaw = 'shows acknowledged messages again when it was killed, and cannot set sync_interval'
    findings.push(advice('server', `${name} is old: it ${flaw}`, upgrade))
  }
  if (!hasSoundSchedules(version)) {
    findings.push(fine('server', 'it has no message schedules: supervisors move delayed jobs themselves'))
  }
  return findings
}

export function judgeAccount({ limits }: AccountUse): Finding[] {
  if (limits.length === 0) return [fine('limits', 'the account has no limits of JetStream')]
  return limits.map(({ what, used, limit }) => {
    const message = `the account uses ${used} of ${limit} ${what}`
    const remedy = `raise the limit of ${what} of the account, or free some: nats stream report`
    if (limit > 0 && used >= limit) return wrong('limits', message, remedy)
    return limit > 0 && used >= limit * fullShare
      ? advice('limits', message, remedy)
      : fine('limits', message)
  })
}

export function judgeStream(stream: StreamFacts): Finding[] {
  const findings: Finding[] = []
  const { name, messages, bytes, maxMessages, maxBytes, offline } = stream
  if (stream.isLeaderless) {
    const remedy = `start the missing servers of the cluster: nats stream info ${name}`
    findings.push(wrong('streams', `stream ${name} has no leader: nothing can be stored`, remedy))
  }
  if (offline.length > 0) {
    const remedy = `start ${offline.length > 1 ? 'them' : 'it'}: nats stream info ${name}`
    findings.push(advice('streams', `stream ${name} is kept on ${offline.join(', ')}, not here now`, remedy))
  }
  const rooms: [used: number, limit: number | undefined, what: string, setting: string][] = [
    [messages, maxMessages, 'messages', 'MILLRACE_MAX_JOBS'],
    [bytes, maxBytes, 'bytes', 'MILLRACE_MAX_BYTES'],
  ]
  for (const [used, limit, what, setting] of rooms) {
    if (limit === undefined || used < limit * fullShare) continue
    const remedy = `raise ${setting}, or run more supervisors`
    const message = `stream ${name} holds ${used} of ${limit} ${what}`
    if (used >= limit) findings.push(wrong('streams', `${message}: new jobs are refused`, remedy))
    else findings.push(advice('streams', message, remedy))
  }
  return findings
}

/** What a loss of a machine, or of its power, takes along. */
export function judgeDurability(jobs: StreamFacts, version: ServerVersion): Finding[] {
  if (jobs.storage === 'memory') {
    const remedy = 'set MILLRACE_STORAGE=file before the streams are created'
    return [advice('durability', `stream ${jobs.name} is in memory: a restart loses every job`, remedy)]
  }
  if (jobs.replicas > 1) return [fine('durability', `stream ${jobs.name} has ${jobs.replicas} replicas`)]
  const canSync = version.major > 2 || version.minor >= 10
  return [
    advice(
      'durability',
      `stream ${jobs.name} has one replica: when its server is lost for good, so are its jobs`,
      'run three servers as a cluster, and set MILLRACE_REPLICAS=3',
    ),
    advice(
      'durability',
      'by default the server syncs its disk every two minutes only (sync_interval, which cannot be asked for): a power failure loses what was accepted last',
      canSync
        ? 'put jetstream { sync_interval: always } into the configuration of the server, as deploy/nats/single.conf does'
        : 'upgrade the server to 2.10 or newer, then put jetstream { sync_interval: always } into its configuration',
    ),
  ]
}

export function judgeClock({ serverAt }: StreamFacts, nowMs: number): Finding[] {
  if (serverAt === undefined) return []
  const apartMs = Math.abs(nowMs - serverAt)
  if (apartMs <= clockToleranceMs)
    return [fine('clock', 'the clocks of the server and of this machine agree')]
  const message = `the clocks of the server and of this machine are ${Math.round(apartMs / 1_000)} s apart: jobs start too early or too late, or expire`
  return [advice('clock', message, 'synchronise both clocks: timedatectl set-ntp true')]
}

export function judgeTopology(
  { missing, warnings, unseen }: TopologyReport,
  settings: Settings,
  handlers: readonly string[],
): Finding[] {
  if (missing.length + warnings.length + unseen.length === 0)
    return [
      fine('topology', `streams, buckets and the consumers of ${handlers.length} handlers are as needed`),
    ]
  return [
    ...missing.map((one) => {
      const { what, unserved } = one
      if (unserved === undefined) return wrong('topology', `${what} is missing`, manageRemedy)
      const [, consumer] = /^consumer (.*)$/.exec(what) ?? []
      const back = 'it is there again when its servers have a leader for it'
      // A stream that is removed takes along what is in it.
      const remedy =
        consumer === undefined
          ? `${back}: start those that are missing`
          : `${back}; if they find none, nats consumer rm ${consumer.replace('/', ' ')} -f, and a supervisor makes it anew`
      return wrong('topology', nameMissing(one), remedy)
    }),
    ...warnings.map((message) => wrong('topology', message, remedyForDrift(message, settings))),
    ...unseen.map((what) =>
      advice(
        'topology',
        `${what} has a leader, and the server asked calls it leaderless: it was not looked at`,
        'ask again by another server of the cluster, in NATS_URL',
      ),
    ),
  ]
}

/** `message` is as the topology's report has it: `consumer JOBS/a: ack_wait is …, expected …`. */
function remedyForDrift(message: string, settings: Settings): string {
  const [, kind = '', name = '', field = ''] =
    /^(stream|consumer|bucket) (\S+): (\w+) is /.exec(message) ?? []
  if (kind === 'consumer' && fixedOfConsumers.includes(field)) {
    const remove = `nats consumer rm ${name.replace('/', ' ')} -f`
    return `it cannot be changed: stop the supervisors, ${remove}, and start one with MILLRACE_MANAGE=true; the jobs stay, their attempts on record count on`
  }
  const setting = field === 'max_age' ? ageSetting(kind) : settingOfField[field]
  const adapt = setting === undefined ? '' : `, or set ${setting} everywhere to what is there`
  if (field === 'storage') return `set MILLRACE_STORAGE to what is there, not ${settings.storage}`
  return `${manageRemedy} brings it to the settings here${adapt}`
}

function ageSetting(kind: string): string | undefined {
  return kind === 'stream' ? 'MILLRACE_DEAD_MAX_AGE_MS' : 'MILLRACE_RESULT_TTL_MS'
}

/** On a stream of jobs, two consumers cannot take the same subject: a foreign one keeps ours out. */
export function judgeConsumers(consumers: readonly ConsumerFacts[], names: Names): Finding[] {
  return consumers.flatMap(({ stream, priority, name, filter }) => {
    const prefix = names.jobSubject('', priority)
    const handler = filter?.startsWith(prefix) ? filter.slice(prefix.length) : undefined
    if (handler !== undefined && isHandlerName(handler) && consumerName(handler) === name) return []
    const takes = filter === undefined ? 'several subjects, or all' : filter
    return [
      wrong(
        'consumers',
        `consumer ${stream}/${name} takes ${takes}, and keeps its jobs from the supervisors`,
        `nats consumer rm ${stream} ${name} -f, if nobody needs it`,
      ),
    ]
  })
}

/** What lies in the default folder need not be what supervisors run. */
export function judgeLikelyHandlers(
  likely: readonly string[],
  taken: readonly string[],
  { handlersFolder }: Settings,
): Finding[] {
  const lacking = likely.filter((handler) => !taken.includes(handler))
  if (lacking.length === 0) return []
  const message = `${lacking.join(', ')} of ${handlersFolder} ${lacking.length === 1 ? 'has' : 'have'} no consumer`
  const remedy = `${manageRemedy}, or set MILLRACE_HANDLERS to the folder that supervisors have`
  return [advice('handlers', message, remedy)]
}

export function judgeDepth(depth: QueueDepth, paused: ReadonlySet<string>, names: Names): Finding[] {
  const findings: Finding[] = []
  for (const [handler, jobs] of depth.unclaimedOf) {
    const message = `${jobs} of ${handler} wait, and no consumer takes them: no supervisor has had this handler`
    const purge = `nats stream purge ${names.jobStream} --subject ${names.jobSubject(handler)} -f`
    findings.push(
      advice('queues', message, `start a supervisor that has the handler, or remove them: ${purge}`),
    )
  }
  for (const [handler, { pending, ackPending, pulls, pausedAtServer }] of depth.handlers) {
    if (pending === 0 || ackPending > 0 || pulls !== 0 || pausedAtServer || paused.has(handler)) continue
    const message = `${pending} of ${handler} wait, and nobody asks for them`
    findings.push(advice('queues', message, 'start a supervisor that has this handler: millrace start'))
  }
  if (depth.stranded > 0) {
    const message = `at least ${depth.stranded} jobs are in a stream, and their consumer neither waits for them nor has handed them out`
    const remedy = `if it stays so, look which of its consumers counts too few: nats consumer report ${names.jobStream}`
    findings.push(advice('queues', message, remedy))
  }
  return findings.length > 0 ? findings : [fine('queues', 'every job has somebody who takes it')]
}

export function judgeRights(rights: UserRights | undefined, names: Names, inboxPrefix: string): Finding[] {
  if (!rights) {
    const why = 'this server does not say what the user may do'
    return [fine('permissions', `${why}; everything that was asked here was permitted`)]
  }
  const { jobStream, deadSubjects, attemptsBucket, controlBucket } = names
  const lacking = ([kind, subject]: Need): boolean => !permits(rights[kind], subject)
  const needs: Need[] = [
    ['publish', names.jobSubjects, 'enqueue jobs'],
    ['publish', `$JS.API.CONSUMER.MSG.NEXT.${jobStream}.*`, 'pull jobs'],
    ['publish', `$JS.ACK.${jobStream}.>`, 'settle jobs'],
    ['publish', deadSubjects, 'store dead letters'],
    ['publish', `$KV.${attemptsBucket}.>`, 'record attempts'],
    ['publish', `$KV.${controlBucket}.paused.>`, 'pause handlers'],
    ['publish', `$KV.${controlBucket}.cancelled.>`, 'cancel jobs'],
    ['subscribe', `${inboxPrefix}.>`, 'hear answers'],
  ]
  const conveniences: Need[] = [
    ['subscribe', names.askSubject(whereQuestion), 'hear millrace where'],
    ['publish', names.answerSubject('*'), 'answer millrace where'],
  ]
  const findings = [
    ...needs.filter(lacking).map((need) => wrong('permissions', ...lackOf(need, rights.user))),
    ...conveniences.filter(lacking).map((need) => advice('permissions', ...lackOf(need, rights.user))),
  ]
  return findings.length > 0 ? findings : [fine('permissions', 'the user may do what a supervisor does')]
}

type Need = readonly [kind: 'publish' | 'subscribe', subject: string, why: string]

function lackOf([kind, subject, why]: Need, user: string): [message: string, remedy: string] {
  return [
    `the user ${user} may not ${kind} ${subject}, so a supervisor cannot ${why}`,
    `add ${JSON.stringify(subject)} to ${kind} in the permissions of the user, as deploy/nats/accounts.conf does`,
  ]
}

function permits({ allow, deny }: Rights, subject: string): boolean {
  const isAllowed = allow.length === 0 || allow.some((pattern) => coversSubject(pattern, subject))
  return isAllowed && !deny.some((pattern) => subjectsMeet(pattern, subject))
}
