import type { AttemptRecord } from '#src/core/attempt.js'
import type { StoredLetter } from './model-nats.ts'
import type { Ending } from './model-supervisor.ts'

/** What befell a run of the model besides its jobs' own endings. */
export type FaultKind =
  /** A process dies at once. */
  | 'crash'
  /** A process is told to stop, as at SIGTERM. */
  | 'stop'
  /** A connection breaks; everything on it is lost. */
  | 'drop'
  /** Nothing moves on a connection until after the ack wait, and then everything. */
  | 'stall'
  /** A process stands still until after the ack wait. */
  | 'freeze'
  /** A request is lost on its way, or a settlement, while the connection stays. */
  | 'loss'
  /** The broker did it, and its answer is lost. */
  | 'answer loss'
  /** The broker dies, and comes back with what it stored and without its delivery counts and leases. */
  | 'broker kill'
  /** Something happens before something else that usually comes first. */
  | 'order'

/** Faults after which the broker may hand a job out that somebody still has, or has completed. */
const disruptive: ReadonlySet<FaultKind> = new Set([
  'crash',
  'drop',
  'stall',
  'freeze',
  'loss',
  'broker kill',
])

interface DeliveryEntry {
  readonly supervisor: string
  readonly reply: string
  /** It ended in a way that may count as an attempt, or is still open and runs. */
  counts: boolean
  /** Held, on its way, or not yet settled. */
  open: boolean
  /** An attempt began under it. */
  ran: boolean
  /** Its record could not be read: the delivery count alone decides about it, and about no later one. */
  unread: boolean
  readonly sentAtMs: number
  readonly step: number
  /** It was held up on its way, so its holder takes the lease for longer than it is: nothing tells it better. */
  wasLate: boolean
}

interface RunEntry {
  readonly supervisor: string
  readonly attempt: number
  /** The step in which its delivery was sent. */
  readonly since: number
  ending: Ending | 'interrupted' | undefined
}

class JobEntry {
  readonly deliveries: DeliveryEntry[] = []
  readonly runs: RunEntry[] = []
  readonly letters: { readonly atMs: number; readonly decidedSince: number }[] = []
  /** The step in which the broker stored that the job is dead, in its record or as a dead letter. */
  deadSince: number | undefined
  /** Requests about its record that failed, or vanished with their sender: so many deliveries may count in vain. */
  excuses = 0
  /** Somebody has given it back since it was last handed out, and its lease has not run out. */
  wasNaked = false
}

const charged: ReadonlySet<string> = new Set(['fail', 'permanent', 'hang', 'thread crash', 'process crash'])

/**
 * Notes what happens to the jobs of one run of the model, from outside of the engine, and says what of it breaks a
 * promise of `docs/guarantees.md`.
 */
export class ProtocolLedger {
  readonly violations: string[] = []
  step = 0
  readonly #maxAttempts: number
  readonly #windowMs: number
  readonly #now: () => number
  readonly #jobs = new Map<number, JobEntry>()
  readonly #culprits: number
  readonly #faults: { readonly kind: FaultKind; readonly step: number; readonly byJob: boolean }[] = []

  /** @param options - the first so many of the jobs may be at fault themselves: `culprits`. */
  constructor(options: { maxAttempts: number; culprits: number; windowMs: number; now: () => number }) {
    this.#maxAttempts = options.maxAttempts
    this.#culprits = options.culprits
    this.#windowMs = options.windowMs
    this.#now = options.now
  }

  /** @param byJob - an attempt has done it. */
  struck(kind: FaultKind, byJob = false): void {
    this.#faults.push({ kind, step: this.step, byJob })
  }

  delivered(sequence: number, supervisor: string, reply: string): void {
    this.#job(sequence).deliveries.push({
      supervisor,
      reply,
      counts: false,
      open: true,
      ran: false,
      unread: false,
      sentAtMs: this.#now(),
      step: this.step,
      wasLate: false,
    })
  }

  arrived(sequence: number, reply: string): void {
    const delivery = this.#job(sequence).deliveries.find((each) => each.reply === reply)
    if (delivery) delivery.wasLate = this.#now() > delivery.sentAtMs
  }

  /** Of a connection or a process that is gone. */
  neverArrived(sequence: number, reply: string): void {
    const delivery = this.#job(sequence).deliveries.find((each) => each.reply === reply)
    if (delivery) {
      delivery.counts = true
      delivery.open = false
    }
  }

  began(sequence: number, supervisor: string, attempt: number, isElsewhere: boolean): void {
    const job = this.#job(sequence)
    const delivery = job.deliveries.findLast((each) => each.supervisor === supervisor)!
    delivery.ran = true
    const counted = job.deliveries.filter(({ counts, open }) => counts || open).length
    // The delivery under which it begins is open.
    if (attempt > counted + job.excuses && !delivery.unread) {
      this.#breaks(
        'G4',
        sequence,
        `begins attempt ${attempt}, and only ${counted - 1} before it can have counted`,
      )
    }
    if (attempt > this.#maxAttempts) this.#breaks('G4', sequence, `begins attempt ${attempt}`)
    // Who had it before that, with or without its lease, may have asked for the record before, too.
    const isDead = job.deadSince !== undefined && delivery.step > job.deadSince
    if (isDead && job.excuses === 0 && !delivery.unread) {
      this.#breaks('G1', sequence, 'begins after its dead letter was decided')
    }
    const completed = job.runs.find(({ ending }) => ending === 'complete')
    if (completed && !this.#disruptedSince(Math.min(completed.since, delivery.step))) {
      this.#breaks('G2', sequence, 'begins again after it completed, and nothing explains it')
    }
    if (job.runs.some((run) => run.supervisor === supervisor && run.ending === 'complete')) {
      this.#breaks('G2', sequence, 'begins again in the process that completed it')
    }
    if (isElsewhere && job.wasNaked && !this.#has('broker kill')) {
      this.#breaks('G2', sequence, 'begins beside an attempt whose lease was not lost')
    }
    job.runs.push({ supervisor, attempt, since: delivery.step, ending: undefined })
    const run = job.runs.filter(({ ending }) => charged.has(ending ?? '')).length
    if (run >= this.#maxAttempts && !this.#has('broker kill')) {
      this.#breaks('G5', sequence, `begins although ${run} attempts of it have failed`)
    }
  }

  ended(sequence: number, supervisor: string, ending: Ending | 'interrupted', leaseLost: boolean): void {
    const job = this.#job(sequence)
    const run = job.runs.findLast((each) => each.supervisor === supervisor && each.ending === undefined)
    if (run) run.ending = ending
    if (!charged.has(ending) && ending !== 'complete' && !leaseLost) return
    // What came again meanwhile does not count, whatever becomes of the lease.
    const its = job.deliveries.find((each) => each.supervisor === supervisor && each.open && !each.counts)
    if (its) its.counts = true
  }

  /** Its supervisor has let go of it. */
  released(sequence: number, supervisor: string): void {
    for (const delivery of this.#job(sequence).deliveries) {
      if (delivery.supervisor === supervisor) delivery.open = false
    }
  }

  /** The process died with the job; one that waited for another suspect must not be charged for that. */
  died(sequence: number, supervisor: string, isProtected: boolean): void {
    for (const delivery of this.#job(sequence).deliveries) {
      if (delivery.supervisor !== supervisor || !delivery.open) continue
      delivery.open = false
      // The mark of a waiting suspect is for what came again meanwhile, too.
      if (!isProtected) delivery.counts = true
    }
  }

  /** A read of its record has failed. */
  unread(sequence: number, supervisor: string): void {
    const job = this.#job(sequence)
    const held = job.deliveries.filter((each) => each.supervisor === supervisor && each.open)
    const last = held.at(-1)
    // Later it is read only to be added to, and then what was to be added is lost.
    if (!last || held.some(({ ran, unread }) => ran || unread)) job.excuses += Math.max(1, held.length)
    else last.unread = true
  }

  excused(sequence: number): void {
    const job = this.#job(sequence)
    // Each delivery that came while it was held is in the same record.
    job.excuses += Math.max(1, job.deliveries.filter(({ open }) => open).length)
  }

  /** @param leaseUntil - of the job, at the broker, on the model's clock. */
  answering(sequence: number, reply: string, answer: string, leaseUntil: number | undefined): void {
    if (!answer.startsWith('-NAK') || leaseUntil === undefined) return
    const { deliveries } = this.#job(sequence)
    if (deliveries.find((each) => each.reply === reply)?.wasLate) return
    const isLatest = deliveries.at(-1)?.reply === reply
    if ((!isLatest || leaseUntil <= this.#now()) && !this.#has('broker kill')) {
      this.#breaks('G2', sequence, 'is given back after its lease was lost')
    }
  }

  answered(sequence: number, reply: string, answer: string): void {
    if (answer.startsWith('+WPI')) return
    const job = this.#job(sequence)
    const delivery = job.deliveries.find((each) => each.reply === reply)
    job.wasNaked = answer.startsWith('-NAK') && delivery?.wasLate === false
    if (!answer.startsWith('+ACK')) return
    const isCompleted = job.runs.some(({ ending }) => ending === 'complete')
    if (!isCompleted && job.letters.length === 0) {
      this.#breaks('G1', sequence, 'is acked, and is neither completed nor in the dead-letter stream')
    }
  }

  /** Its lease ran out at the broker. */
  expired(sequence: number): void {
    this.#job(sequence).wasNaked = false
  }

  recordStored(sequence: number, record: AttemptRecord): void {
    const job = this.#job(sequence)
    if (record.dead) job.deadSince ??= this.step
  }

  letterStored(letter: StoredLetter, supervisor: string, duplicate: boolean): void {
    const { sequence, attempts } = letter
    const job = this.#job(sequence)
    if (duplicate) return
    const last = job.letters.at(-1)
    if (last && this.#now() - last.atMs < this.#windowMs)
      this.#breaks('G9', sequence, 'has a second dead letter')
    const decided = job.runs.findLast((run) => run.supervisor === supervisor && charged.has(run.ending ?? ''))
    const decidedSince = decided?.since ?? job.deadSince ?? 0
    job.letters.push({ atMs: this.#now(), decidedSince })
    const its = job.deliveries.findLast((each) => each.supervisor === supervisor)!
    // The delivery that only led to the dead letter is no attempt.
    const counted = job.deliveries.filter(
      (each) => each.counts || (each.open && (each.ran || each.supervisor !== supervisor)),
    ).length
    if (attempts > counted + job.excuses && !its.unread) {
      this.#breaks('G4', sequence, `is dead after ${attempts} attempts, and only ${counted} can have counted`)
    }
    job.deadSince ??= this.step
    // Beside one that kills threads and processes, and nothing else, nobody is given up on.
    if (sequence > this.#culprits && this.#faults.every(({ byJob }) => byJob)) {
      this.#breaks('G4', sequence, `is innocent, and is dead: ${letter.reason}`)
    }
    this.#checkHistory(letter, job)
  }

  /** To be called when everything has come to rest. */
  close(): void {
    for (const [sequence, job] of this.#jobs) {
      const completed = job.runs.filter(({ ending }) => ending === 'complete')
      const dead = job.letters.length > 0
      if (completed.length === 0 && !dead) this.#breaks('G1', sequence, 'is neither completed nor dead')
      if (completed.length === 0 || !dead) continue
      const first = Math.min(completed[0]!.since, job.letters[0]!.decidedSince)
      if (!this.#disruptedSince(first)) {
        this.#breaks('G1', sequence, 'is both completed and dead, and nothing explains it')
      }
    }
  }

  get hasFaults(): boolean {
    return this.#faults.length > 0
  }

  #checkHistory({ sequence, attempts, history }: StoredLetter, job: JobEntry): void {
    const unclaimed = job.runs.filter(({ ending }) => charged.has(ending ?? ''))
    for (const entry of history) {
      const at = unclaimed.findIndex(
        (run) => run.supervisor === entry.supervisor && outcomes[run.ending!] === entry.outcome,
      )
      if (at < 0) this.#breaks('G9', sequence, `has a history of what did not run: ${JSON.stringify(entry)}`)
      else unclaimed.splice(at, 1)
    }
    if (history.length > attempts) {
      this.#breaks('G9', sequence, `tells of ${history.length} attempts, and counts ${attempts}`)
    }
    const numbers = new Set(history.map(({ attempt }) => attempt))
    // An attempt whose record was unread goes by the delivery count, and the next one by the record again.
    const isCertain = job.deliveries.every(({ unread }) => !unread)
    if (isCertain && numbers.size < history.length)
      this.#breaks('G9', sequence, 'tells twice of the same attempt')
    if (this.hasFaults) return
    const ran = job.runs.filter(({ ending }) => charged.has(ending ?? '')).length
    if (attempts !== ran) this.#breaks('G9', sequence, `counts ${attempts} attempts, and ${ran} ran`)
    const untold = unclaimed.filter(({ ending }) => ending !== 'process crash')
    if (untold.length > 0) this.#breaks('G9', sequence, `does not tell of ${untold.length} attempts`)
  }

  #has(kind: FaultKind): boolean {
    return this.#faults.some((fault) => fault.kind === kind)
  }

  #disruptedSince(step: number): boolean {
    return this.#faults.some((fault) => disruptive.has(fault.kind) && fault.step >= step)
  }

  #breaks(guarantee: string, sequence: number, what: string): void {
    this.violations.push(`${guarantee}: job ${sequence} ${what}`)
  }

  #job(sequence: number): JobEntry {
    let job = this.#jobs.get(sequence)
    if (!job) {
      job = new JobEntry()
      this.#jobs.set(sequence, job)
    }
    return job
  }
}

const outcomes: Partial<Record<string, string>> = {
  fail: 'failed',
  permanent: 'failed',
  hang: 'timed_out',
  'thread crash': 'crashed',
}
