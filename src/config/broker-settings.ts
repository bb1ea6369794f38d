import { milliseconds, oneOf, optional, text, trueOrFalse, wholeNumber, wholeNumberOr } from './kinds.ts'
import type { SettingRow } from './row.ts'
import { type ServerList, serverList } from './servers.ts'

/** What the settings of this file hold, by option name. */
export interface BrokerValues {
  natsUrl: ServerList
  natsCreds: string | null
  natsNkey: string | null
  natsUser: string | null
  natsPassword: string | null
  natsToken: string | null
  natsCa: string | null
  natsCert: string | null
  natsKey: string | null
  namespace: string
  manage: boolean
  replicas: number
  storage: 'file' | 'memory'
  maxJobs: number | null
  maxBytes: number | null
  duplicateWindowMs: number
  deadMaxAgeMs: number
  startupMs: number
}

const dayMs = 86_400_000
const none = { value: () => null, text: 'none', reason: 'a server on this machine needs no credentials' }
const path = optional(text('the path of a readable file', (value) => value !== ''))
const notEmpty = optional(text('text that is not empty', (value) => value !== ''))

// With one of these as namespace, `dead.>` and its like would also match the subjects of other namespaces.
const reservedNamespaces = ['dead', 'delayed', 'ticks', 'events', 'high', 'low', 'asks', 'answers']

/** The connection to NATS, and the streams that hold the jobs. */
export const brokerSettings: { readonly [Name in keyof BrokerValues]: SettingRow<BrokerValues[Name]> } = {
  natsUrl: {
    variable: 'NATS_URL',
    kind: serverList,
    default: {
      value: () => ({ urls: ['nats://127.0.0.1:4222'], user: null, password: null, token: null }),
      text: 'nats://127.0.0.1:4222',
      reason: 'where a server that someone starts to try this listens',
    },
    meaning:
      'The servers to try, separated by commas; those of a cluster that are not listed are discovered.',
  },
  natsCreds: {
    variable: 'NATS_CREDS',
    kind: path,
    readable: true,
    fileForm: 'path',
    default: none,
    meaning: 'Path of a .creds file (JWT and seed), read again at each reconnect.',
  },
  natsNkey: {
    variable: 'NATS_NKEY',
    kind: optional(
      text('an nkey seed (SU…), or the path of a file with one', (value) => /^SU[A-Z2-7]{56}$/.test(value)),
    ),
    secret: true,
    fileForm: 'contents',
    default: none,
    meaning: 'An nkey user seed, or the path of a file that holds one.',
  },
  natsUser: {
    variable: 'NATS_USER',
    kind: notEmpty,
    default: none,
    meaning: 'User name; goes with NATS_PASSWORD.',
  },
  natsPassword: {
    variable: 'NATS_PASSWORD',
    kind: notEmpty,
    secret: true,
    fileForm: 'contents',
    default: none,
    meaning: 'Password; with _FILE it is read again at each reconnect.',
  },
  natsToken: {
    variable: 'NATS_TOKEN',
    kind: notEmpty,
    secret: true,
    fileForm: 'contents',
    default: none,
    meaning: 'Token; with _FILE it is read again at each reconnect.',
  },
  natsCa: {
    variable: 'NATS_CA',
    kind: path,
    readable: true,
    fileForm: 'path',
    default: { ...none, reason: "Node's own list of authorities" },
    meaning: "Path of the certificates that may sign the server's; setting it makes TLS mandatory.",
  },
  natsCert: {
    variable: 'NATS_CERT',
    kind: path,
    readable: true,
    fileForm: 'path',
    default: none,
    meaning: 'Path of our client certificate; goes with NATS_KEY.',
  },
  natsKey: {
    variable: 'NATS_KEY',
    kind: path,
    readable: true,
    fileForm: 'path',
    default: none,
    meaning: 'Path of the private key of NATS_CERT.',
  },
  namespace: {
    variable: 'MILLRACE_NAMESPACE',
    kind: text(
      'at most 64 of the characters a-z, 0-9 and -',
      (value) => /^[a-z0-9-]{1,64}$/.test(value) && !reservedNamespaces.includes(value),
      (value) => {
        if (reservedNamespaces.includes(value)) return `${value} is reserved for Millrace's own subjects`
        const meant = value.toLowerCase().replaceAll(/[_.\s]+/g, '-')
        return /^[a-z0-9-]{1,64}$/.test(meant) ? `write ${meant}` : undefined
      },
    ),
    default: { value: () => 'jobs', reason: 'subjects then read jobs.<handler>' },
    meaning:
      'First token of every subject and name in the broker. Supervisors with the same namespace share their jobs; with different ones they never meet.',
  },
  manage: {
    variable: 'MILLRACE_MANAGE',
    kind: trueOrFalse(),
    default: { value: () => true, reason: 'a fresh server needs no preparation' },
    meaning:
      'Whether to create and update streams, consumers and buckets. With false the supervisor binds to what is there and says exactly what is missing.',
  },
  replicas: {
    variable: 'MILLRACE_REPLICAS',
    kind: wholeNumber(1, 5),
    default: { value: () => 1, reason: 'all that a single server can hold' },
    meaning: 'On how many servers of a cluster each stream is kept.',
    tooLow: 'a server that is lost for good takes its jobs along, and while it is away nothing runs',
    tooHigh:
      'streams cannot be created with more replicas than there are servers; each one slows down publishing',
  },
  storage: {
    variable: 'MILLRACE_STORAGE',
    kind: oneOf(['file', 'memory']),
    default: { value: () => 'file', reason: 'an accepted job survives a restart of the server' },
    meaning: 'Where the server keeps streams. With memory, a restart of the server loses every job.',
  },
  maxJobs: {
    variable: 'MILLRACE_MAX_JOBS',
    kind: wholeNumberOr(1, Number.MAX_SAFE_INTEGER, 'unlimited', null),
    default: { value: () => null, text: 'unlimited', reason: "the server's disk is the limit" },
    meaning: 'How many jobs the job stream may hold; above it new jobs are refused, none is dropped.',
    tooLow: 'enqueuing fails during a short backlog',
    tooHigh: 'a forgotten backlog fills the disk, and then every stream of the server refuses writes',
  },
  maxBytes: {
    variable: 'MILLRACE_MAX_BYTES',
    kind: wholeNumberOr(1024, Number.MAX_SAFE_INTEGER, 'unlimited', null),
    default: { value: () => null, text: 'unlimited', reason: "the server's disk is the limit" },
    meaning: 'How many bytes the job stream may hold; above it new jobs are refused, none is dropped.',
    tooLow: 'enqueuing fails during a short backlog',
    tooHigh: 'the server reserves this much: more than it has, and the stream cannot be created',
  },
  duplicateWindowMs: {
    variable: 'MILLRACE_DUPLICATE_WINDOW_MS',
    kind: milliseconds(100, 7 * dayMs),
    default: { value: () => 120_000, reason: "JetStream's own default" },
    meaning: 'For how long an enqueue with the same job id counts as the same job.',
    tooLow: 'a publisher that tries again after a pause enqueues the job twice',
    tooHigh: 'the server remembers every id of the window: about 100 bytes of its memory per job',
  },
  deadMaxAgeMs: {
    variable: 'MILLRACE_DEAD_MAX_AGE_MS',
    kind: milliseconds(1_000, 3_650 * dayMs),
    default: { value: () => 30 * dayMs, reason: 'somebody looks at least once a month' },
    meaning: 'For how long dead letters are kept; after it they are deleted without a trace.',
    tooLow: 'a dead letter is gone before anyone looks at it',
    tooHigh: 'old dead letters use up disk and hide the new ones',
  },
  startupMs: {
    variable: 'MILLRACE_STARTUP_MS',
    kind: milliseconds(0, dayMs),
    default: { value: () => 30_000, reason: 'a broker started at the same time is up by then' },
    meaning: 'How long to look for the broker at start before exiting with 69; 0 tries once.',
    tooLow: 'a supervisor that starts before its broker exits, and its manager has to start it again',
    tooHigh: 'a wrong address goes unnoticed',
  },
}
