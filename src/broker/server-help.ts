import { minimumServerVersion } from './find-server.ts'

/** One screen for somebody without a nats-server: what was tried, and the line to type for each platform. */
export function serverHelp(failures: readonly string[]): string {
  return [
    'no nats-server was found, and none could be obtained:',
    ...failures.map((failure) => `  - ${failure}`),
    '',
    `Install one (${minimumServerVersion} or newer) and run the same command again:`,
    '  Debian, Ubuntu   sudo apt-get install nats-server',
    '  macOS            brew install nats-server',
    '  Windows          winget install NATSAuthors.NATSServer',
    '  Alpine           sudo apk add nats-server',
    '  with Go          go install github.com/nats-io/nats-server/v2@latest',
    '  anything else    https://github.com/nats-io/nats-server/releases',
    '',
    'A binary that is somewhere else:  MILLRACE_NATS_SERVER=/path/to/nats-server',
    'A server that already runs:       NATS_URL=nats://host:4222',
  ].join('\n')
}
