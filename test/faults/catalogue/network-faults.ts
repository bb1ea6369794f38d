import { readFile } from 'node:fs/promises'
import { eventually } from '../../support/eventually.ts'
import type { LinkMode } from '../../support/link.ts'
import type { Power } from '../evidence.ts'
import type { Fault } from '../fault.ts'
import type { Berth } from '../fleet.ts'
import { planSpecial } from '../planned-job.ts'
import { ackWaitMs, type Stage } from '../stage.ts'
import { singleBroker } from './broker-faults.ts'
import { lasting } from './lasting.ts'

const anything: readonly Power[] = ['repeat', 'charge often', 'overlap']
/** A delivery that was on its way is lost with the connection, and cannot be told from one that crashed (G4). */
const onTheWay: readonly Power[] = ['charge']
const slowMs = 8_000
/** A connection that is dead without a word is left within this, and another one is there. */
const noticedMs = 15_000
const beyondLeasesMs = ackWaitMs * 1.3

function onOneLink(
  name: string,
  powers: readonly Power[],
  during: (berth: Required<Berth>, stage: Stage) => Promise<void> | void,
): Fault {
  return {
    name,
    powers,
    async strike(stage) {
      const berth = stage.someBerth()
      const pids = stage.fleet.pidsOf(berth)
      await during(berth as Required<Berth>, stage)
      return [...pids, ...stage.fleet.pidsOf(berth)]
    },
  }
}

function inMode(name: string, mode: LinkMode, durationMs: number, powers: readonly Power[]): Fault {
  return onOneLink(name, powers, async ({ link }) => {
    link!.set(mode)
    await lasting(durationMs)
    link!.set('pass')
  })
}

const slow: Fault = onOneLink('server cuts a slow consumer', anything, async ({ link }, stage) => {
  const { server } = singleBroker(stage)
  const written = (await readFile(server.logFile, 'utf8')).length
  link!.set('to-client-lost')
  try {
    let sent = 0
    const isCut = eventually(
      'the server says that somebody is slow',
      async () => {
        for (let n = 0; n < 10 && sent < 300; n += 1) {
          sent += 1
          const more = { filling: 'x'.repeat(200_000) }
          await stage.load.publish(
            planSpecial('io', `large-${stage.load.publications.size}`, { do: 'return', more }),
          )
        }
        return /slow consumer/i.test((await readFile(server.logFile, 'utf8')).slice(written))
      },
      slowMs,
    )
    // The others may take the large jobs, and then nobody is slow.
    await isCut.catch(() => {})
  } finally {
    link!.set('pass')
  }
})

/** What can happen to the network between one supervisor and the server. */
export const networkFaults: readonly Fault[] = [
  inMode('link cut', 'cut', 300, onTheWay),
  inMode('link cut beyond the leases', 'cut', beyondLeasesMs, anything),
  inMode('link swallows everything', 'blackhole', beyondLeasesMs, anything),
  inMode('link swallows what goes to the server', 'to-server-lost', beyondLeasesMs, anything),
  inMode('link swallows what goes to the supervisor', 'to-client-lost', beyondLeasesMs, anything),
  inMode('link swallows everything for a moment', 'blackhole', ackWaitMs * 0.25, []),
  onOneLink('link reset', onTheWay, ({ link }) => link!.reset()),
  onOneLink('link reset again and again', anything, async ({ link }) => {
    for (let times = 0; times < 5; times += 1) {
      link!.reset()
      await lasting(120)
    }
  }),
  onOneLink('connection half open', anything, async ({ link, supervisor }) => {
    const reconnects = async (): Promise<number> =>
      (await supervisor.metrics()).sum('millrace_nats_reconnects_total')
    const before = await reconnects()
    link!.halfOpen()
    await eventually('it is noticed', async () => (await reconnects()) > before, noticedMs)
  }),
  onOneLink('link slow', [], async ({ link }) => {
    link!.delay(80)
    await lasting(ackWaitMs * 0.7)
    link!.delay(0)
  }),
  slow,
]
