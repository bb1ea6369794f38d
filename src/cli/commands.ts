import { cancel } from './cancel.ts'
import type { Command } from './command.ts'
import { completionOf } from './completion.ts'
import { config } from './config.ts'
import { deadDiscard } from './dead-discard.ts'
import { deadExport } from './dead-export.ts'
import { deadLs } from './dead-ls.ts'
import { deadReplay } from './dead-replay.ts'
import { deadShow } from './dead-show.ts'
import { dev } from './dev.ts'
import { doctor } from './doctor.ts'
import { enqueue } from './enqueue.ts'
import { init } from './init.ts'
import { pause } from './pause.ts'
import { result } from './result.ts'
import { resume } from './resume.ts'
import { retriesLs } from './retries-ls.ts'
import { schedulesLs } from './schedules-ls.ts'
import { schedulesRun } from './schedules-run.ts'
import { start } from './start.ts'
import { status } from './status.ts'
import { top } from './top.ts'
import { where } from './where.ts'

/** Every command, in the order of the help. */
export const commands: readonly Command[] = [
  init,
  start,
  dev,
  enqueue,
  result,
  cancel,
  where,
  pause,
  resume,
  status,
  top,
  retriesLs,
  schedulesLs,
  schedulesRun,
  deadLs,
  deadShow,
  deadReplay,
  deadDiscard,
  deadExport,
  doctor,
  config,
  completionOf(() => commands),
]
