import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { machineMs, type Power } from '../evidence.ts'
import type { Fault } from '../fault.ts'
import { planSpecial } from '../planned-job.ts'
import type { Stage } from '../stage.ts'
import { lasting } from './lasting.ts'

let serial = 0

/** The ids of jobs that end their process begin with this. */
export const poisonPrefix = 'poison-'
/** It takes a process along with each of its attempts. */
export const poisonPowers: readonly Power[] = ['repeat', 'charge often', 'die']

function poison(name: string, move: string): Fault {
  return {
    name,
    powers: poisonPowers,
    async strike(stage) {
      serial += 1
      const id = `${poisonPrefix}${serial}`
      const maxAttempts = 2
      const end = { kind: 'dead', reason: 'crashed', attempts: maxAttempts } as const
      const sentAt = machineMs()
      await stage.load.publish(planSpecial('cpu', id, { do: move, end, maxAttempts }))
      // It waits its turn behind every other suspect, and goes on to kill whether somebody looks or not.
      await stage.progressing(`a dead letter of ${id}`, async () => {
        await stage.letters.read()
        return stage.letters.ids.has(id) || stage.mayHaveLost(sentAt)
      })
      // It may have taken any of them along.
      return undefined
    },
  }
}

const stuck: Fault = {
  name: 'thread stuck in native code',
  powers: [],
  async strike(stage) {
    serial += 1
    const [id, gate, fifo] = [`stuck-${serial}`, `gate-${serial}`, `fifo-${serial}`].map((name, index) =>
      index === 0 ? name : join(stage.folder, name),
    ) as [string, string, string]
    execFileSync('mkfifo', [fifo])
    const headers = { 'Millrace-Deadline-Ms': '300' }
    const sentAt = machineMs()
    await stage.load.publish(planSpecial('cpu', id, { do: 'read-fifo', more: { gate, fifo }, headers }))
    const hasBegun = (): boolean => stage.ledger.starts(id).length > 0
    // What waits before it may be much, and nobody else will let it go.
    await stage.progressing(`a start of ${id}`, async () => hasBegun() || stage.mayHaveLost(sentAt))
    if (!hasBegun()) {
      writeFileSync(gate, '')
      return []
    }
    await lasting(1_500)
    writeFileSync(gate, '')
    await release(stage, id, fifo)
    return []
  },
}

/** Writes to the pipe until nobody reads from it any more: another supervisor may have begun, too. */
async function release(stage: Stage, id: string, fifo: string): Promise<void> {
  const giveUpAt = machineMs() + 60_000
  for (;;) {
    const handle = await open(fifo, 'r+')
    await handle.write('x')
    await handle.close()
    if (stage.ledger.ends(id).length > 0) return
    if (machineMs() > giveUpAt) throw new Error(`${id} never ended`)
    await lasting(50)
  }
}

/** What a job can do to the process that runs it, besides what the load does all the time. */
export const jobFaults: readonly Fault[] = [
  poison('job that kills its process', 'kill-process'),
  poison('job that exhausts the memory of the process', 'fill-array'),
  stuck,
]
