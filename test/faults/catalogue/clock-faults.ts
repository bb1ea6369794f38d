import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Fault } from '../fault.ts'
import { lasting } from './lasting.ts'

const aheadMs = 600_000
/** Where the server has no schedules, what waits for its time is given back until then by the wrong clock. */
const backMs = 8_000

function step(name: string, byMs: number): Fault {
  return {
    name,
    powers: [],
    async strike(stage) {
      const file = join(stage.folder, 'clock')
      writeFileSync(file, '0')
      const berth = stage.someBerth()
      await stage.fleet.withClock(berth, file)
      writeFileSync(file, String(byMs))
      await lasting(1_000)
      writeFileSync(file, '0')
      await lasting(200)
      return stage.fleet.pidsOf(berth)
    },
  }
}

/** Somebody sets the clock of one supervisor's machine, and later sets it right. */
export const clockFaults: readonly Fault[] = [
  step('clock set ahead', aheadMs),
  step('clock set back', -backMs),
]
