import { exitCodes } from '#src/config/exit-code.js'
import type { CollectedLetter } from './collected-letters.ts'
import type { Evidence, Power, Publication, Strike } from './evidence.ts'
import type { PlannedJob } from './planned-job.ts'
import { failedItself, type Run, runsOf } from './runs.ts'

/** What a round showed. */
export interface Judgement {
  /** Each sentence is a broken promise; none is the goal. */
  readonly findings: readonly string[]
  readonly accepted: number
  readonly completed: number
  readonly dead: number
  /** Lost by the broker, with a stream that a fault deleted. */
  readonly lostByBroker: number
  /** Runs of jobs that had completed before, by the fault that explains each. */
  readonly duplicates: ReadonlyMap<string, number>
  readonly runs: number
  /** Messages of jobs that have ended, which the broker shows again. */
  readonly stranded: number
}

/** A supervisor that is told to stop is gone within this, on however slow a machine. */
const unseenBeforeEndMs = 5_000
/** Between the last word of a handler and the main thread's hearing of its end a fault may strike; a busy machine makes it long. */
const unheardMs = 1_000
/** A delivery that was lost may have waited for so long for its turn. */
const lateMs = 5_000
/** For so long the stream of dead letters knows which it has, by the supervisor's default. */
const duplicateWindowMs = 120_000

/** How long before and after its runs a job's story tells of faults. */
const aroundMs = 5_000

/** The exit codes of a supervisor that found no broker to start with, or one that refuses it. */
const notStarted = new Set<number | null>([exitCodes.brokerUnreachable, exitCodes.notPermitted])

/** Everything that a dead letter must say. */
const letterHeaders = [
  'Millrace-Dead-Reason',
  'Millrace-Job-Id',
  'Millrace-Subject',
  'Millrace-Stream',
  'Millrace-Sequence',
  'Millrace-Attempts',
  'Millrace-Deliveries',
  'Millrace-Enqueued-At',
  'Millrace-Dead-At',
  'Millrace-History',
]

/**
 * Decides whether a round kept what Millrace promises, from what handlers, publisher and faults wrote down.
 *
 * Lost: accepted, and neither completed nor a dead letter. Unexpected: ran or died, and nobody published it. A run
 * after a completed one, two runs at once, an attempt too many, are each allowed only where a fault struck that may
 * do such a thing, between the two instants that it has to explain, and the process that it has to explain.
 */
export function judge(evidence: Evidence): Judgement {
  return new Judge(evidence).judge()
}

class Judge {
  readonly #evidence: Evidence
  readonly #runs: ReadonlyMap<string, readonly Run[]>
  readonly #letters = new Map<string, CollectedLetter[]>()
  readonly #findings: string[] = []
  readonly #duplicates = new Map<string, number>()

  constructor(evidence: Evidence) {
    this.#evidence = evidence
    this.#runs = runsOf(evidence.ledger, evidence.lives)
    for (const letter of evidence.letters) {
      this.#letters.set(letter.jobId, [...(this.#letters.get(letter.jobId) ?? []), letter])
    }
  }

  judge(): Judgement {
    const { publications, leftovers } = this.#evidence
    let [accepted, completed, dead, lostByBroker] = [0, 0, 0, 0]
    for (const publication of publications.values()) {
      const { id } = publication.job
      if (publication.state === 'accepted') accepted += 1
      if (this.#hasCompleted(id)) completed += 1
      if (this.#isDead(id)) dead += 1
      if (publication.state === 'accepted' && !this.#hasCompleted(id) && !this.#isDead(id)) {
        if (this.#mayBeLost(publication)) lostByBroker += 1
        else this.#findings.push(`lost: ${id} (${this.#story(id)})`)
      }
      this.#job(publication)
    }
    for (const id of this.#runs.keys())
      if (!id.startsWith('tick:') && !publications.has(id)) this.#unexpected(id)
    for (const id of this.#letters.keys()) if (!publications.has(id)) this.#unexpected(id)
    this.#ticks()
    this.#counters()
    this.#exits()
    for (const left of leftovers) this.#findings.push(`unaccounted: ${left}`)
    const runs = [...this.#runs.values()].reduce((sum, each) => sum + each.length, 0)
    return {
      findings: this.#findings,
      accepted,
      completed,
      dead,
      lostByBroker,
      duplicates: this.#duplicates,
      runs,
      stranded: this.#evidence.stranded,
    }
  }

  #job(publication: Publication): void {
    const runs = this.#runs.get(publication.job.id) ?? []
    if (publication.state === 'refused' && (runs.length > 0 || this.#isDead(publication.job.id))) {
      this.#findings.push(
        `unexpected: ${publication.job.id} was refused and is there (${this.#story(publication.job.id)})`,
      )
    }
    // While it waits for its time a job is two messages for a moment, and one who dies then may have held either.
    const isMoved = publication.job.headers['Millrace-Run-At'] !== undefined
    this.#repeats(runs, isMoved)
    this.#overlaps(runs)
    this.#attempts(publication, runs)
    this.#death(publication, runs)
  }

  /** A run after a completed one, and a dead letter after one. */
  #repeats(runs: readonly Run[], byAnybody = false): void {
    const first = runs.find((run) => run.how === 'returned')
    if (!first) return
    for (const run of runs) {
      if (run.startedAt <= first.startedAt) continue
      const strike = byAnybody
        ? this.#strikes('repeat', 0, run.startedAt).find(
            ({ unmeant, to }) => !unmeant || to >= first.startedAt - lateMs,
          )
        : (this.#strike('repeat', first.startedAt, run.startedAt, [first.pid]) ??
          // Who was cut off may begin late with a delivery that somebody else was given meanwhile, or is given soon.
          this.#strike('overlap', first.startedAt - lateMs, run.startedAt, [first.pid, run.pid]))
      if (strike) this.#duplicates.set(strike.fault, (this.#duplicates.get(strike.fault) ?? 0) + 1)
      else this.#findings.push(`duplicate without a fault: ${run.id} (${this.#story(run.id)})`)
    }
  }

  #overlaps(runs: readonly Run[]): void {
    for (const [index, run] of runs.entries()) {
      for (const before of runs.slice(0, index)) {
        if (before.lastSeenAt <= run.startedAt) continue
        if (this.#strike('overlap', before.startedAt, run.startedAt, [before.pid])) continue
        this.#findings.push(`two runs at once: ${run.id} (${this.#story(run.id)})`)
      }
    }
  }

  /** Each run's number is what failed before it, plus what faults may have charged or made forget. */
  #attempts({ job, sentAt }: Publication, runs: readonly Run[]): void {
    for (const [index, run] of runs.entries()) {
      const before = runs.slice(0, index)
      const failed = before.filter(failedItself).length
      // What vanished may have been cut short by a stop, or beside others who may have done it.
      const certain = before.filter(
        (other) =>
          other.how === 'threw' &&
          failedItself(other) &&
          !this.#mayNotCount(other) &&
          !this.#isLater(other, run),
      ).length
      const charges = this.#charges(sentAt, run.startedAt)
      const forgets = this.#strikes('forget', sentAt, run.startedAt).length
      if (run.attempt > 1 + failed + charges || (run.attempt < 1 + certain && forgets === 0)) {
        this.#findings.push(
          `charged wrongly: attempt ${run.attempt} of ${run.id} after ${failed} failures and ${charges} faults that may charge (${this.#story(run.id)})`,
        )
      }
      if (run.attempt > job.maxAttempts) {
        this.#findings.push(
          `attempt ${run.attempt} of ${job.maxAttempts}: ${run.id} (${this.#story(run.id)})`,
        )
      }
    }
  }

  /** A stop may end the thread between the last line of a handler and the message with its end. */
  #mayNotCount(run: Run): boolean {
    const life = this.#evidence.lives.find(({ pid, endedAt }) => pid === run.pid && endedAt !== undefined)
    return life?.endedBy === 'stop' && run.lastSeenAt > life.endedAt! - unseenBeforeEndMs
  }

  /** It may be of a later delivery, though it began first: who has lost a delivery may begin with it late. */
  #isLater(other: Run, run: Run): boolean {
    return (
      other.pid !== run.pid &&
      this.#strikes('overlap', 0, run.startedAt).some(({ to }) => to >= other.startedAt - lateMs)
    )
  }

  #death({ job, sentAt }: Publication, runs: readonly Run[]): void {
    const letters = this.#letters.get(job.id) ?? []
    // A stream that was made anew knows nothing of what the one before it had.
    const inNewest = letters.filter(({ storedIn }) => storedIn === letters.at(-1)!.storedIn)
    if (inNewest.length > 1 && !this.#isForgotten(inNewest))
      this.#findings.push(`${inNewest.length} dead letters: ${job.id} (${this.#story(job.id)})`)
    const [letter] = letters
    if (!letter) {
      if (this.#isDead(job.id) || job.end.kind !== 'dead' || !this.#hasCompleted(job.id)) return
      this.#findings.push(`completed instead of dying: ${job.id} (${this.#story(job.id)})`)
      return
    }
    const missing = letterHeaders.filter((name) => letter.headers[name] === undefined)
    if (missing.length > 0) this.#findings.push(`a dead letter without ${missing}: ${job.id}`)
    if (!Buffer.from(letter.body).equals(job.body))
      this.#findings.push(`a dead letter with another body: ${job.id}`)
    if (letter.headers['X-Test'] !== job.headers['X-Test']) {
      this.#findings.push(`a dead letter without the job's headers: ${job.id}`)
    }
    const attempts = Number(letter.headers['Millrace-Attempts'])
    if (attempts > job.maxAttempts || letter.history.length > attempts) {
      this.#findings.push(
        `a dead letter of ${attempts} attempts with ${letter.history.length} in its history: ${job.id}`,
      )
    }
    const end = Number.POSITIVE_INFINITY
    const charges = this.#charges(sentAt, end)
    if (attempts > runs.length + charges) {
      this.#findings.push(
        `a dead letter of ${attempts} attempts after ${runs.length} runs: ${job.id} (${this.#story(job.id)})`,
      )
    }
    const returned = runs.find((run) => run.how === 'returned')
    if (returned && !this.#strike('repeat', returned.startedAt, end, [returned.pid])) {
      this.#findings.push(`settled twice: ${job.id} (${this.#story(job.id)})`)
    }
    this.#reason(letter.reason, attempts, job, charges)
  }

  /**
   * Who stored the one before was struck just then and could not say so, and the next one came when the stream did not
   * know of it any more (G9).
   */
  #isForgotten(letters: readonly CollectedLetter[]): boolean {
    return letters.slice(1).every(({ storedAt }, at) => {
      const before = letters[at]!.storedAt
      const isLate = storedAt - before >= duplicateWindowMs
      return isLate && this.#strikes('repeat', before - lateMs, before + lateMs).length > 0
    })
  }

  #reason(reason: string, attempts: number, { id, end, maxAttempts }: PlannedJob, charges: number): void {
    if (end.kind === 'either' && reason === 'expired') return
    if (end.kind === 'dead' && end.reason === reason && (attempts === end.attempts || charges > 0)) return
    // So many deliveries without a trace: it looks like a job that kills its process.
    if (reason === 'crashed' && charges > 0 && attempts >= Math.min(maxAttempts, charges)) return
    const wanted = end.kind === 'dead' ? `${end.reason} after ${end.attempts} attempts` : end.kind
    this.#findings.push(
      `dead for the wrong reason: ${id} is ${reason} after ${attempts} attempts, planned: ${wanted} (${this.#story(id)})`,
    )
  }

  /** A tick has one job, which may run more than once under the same rules as any other. */
  #ticks(): void {
    const sequences = new Map<string, Set<unknown>>()
    for (const line of this.#evidence.ledger) {
      if (line.kind !== 'start' || !line.id.startsWith('tick:')) continue
      sequences.set(line.id, (sequences.get(line.id) ?? new Set()).add(line['sequence']))
    }
    for (const [id, of] of sequences) {
      if (of.size > 1 && this.#strikes('lose', 0, Number.POSITIVE_INFINITY).length === 0) {
        this.#findings.push(`${of.size} jobs of one tick: ${id}`)
      }
      this.#repeats(this.#runs.get(id)!)
    }
  }

  /**
   * What supervisors that lived to the end counted is what the ledger has of them. A run that failed just when its
   * lease was lost may have failed before it heard of that, or a moment before the fault, and counts as interrupted.
   */
  #counters(): void {
    const runs = [...this.#runs.values()].flat().filter(({ id }) => !id.startsWith('tick:'))
    for (const { pid, completed, failed } of this.#evidence.counted) {
      const own = runs.filter((run) => run.pid === pid)
      const returned = own.filter((run) => run.how === 'returned').length
      const threw = own.filter((run) => run.how === 'threw' && failedItself(run))
      const unsure = threw.filter((run) => this.#mayHaveLostItsLease(run)).length
      if (completed !== returned) {
        this.#findings.push(
          `process ${pid} counted ${completed} completed attempts, the ledger has ${returned}`,
        )
      }
      if (failed > threw.length || failed < threw.length - unsure) {
        // Most likely one of those that nobody charged is missing.
        const suspects = threw.toSorted((a, b) => Number(this.#isUncharged(b)) - Number(this.#isUncharged(a)))
        const stories = suspects.slice(0, 3).map(({ id }) => this.#story(id))
        this.#findings.push(
          `process ${pid} counted ${failed} failed attempts, the ledger has ${threw.length}; some that threw: ${stories.join(' / ') || 'none'}`,
        )
      }
    }
  }

  #mayHaveLostItsLease({ pid, startedAt, lastSeenAt }: Run): boolean {
    if (this.#strike('overlap', startedAt, lastSeenAt, [pid])) return true
    // Only what holds up the process itself keeps it from hearing of the end.
    return this.#strikes('overlap', lastSeenAt, lastSeenAt + unheardMs).some(({ pids }) =>
      pids?.includes(pid),
    )
  }

  /** The next run of its job does not count it. */
  #isUncharged(run: Run): boolean {
    const next = this.#runs.get(run.id)?.find(({ startedAt }) => startedAt > run.startedAt)
    return next !== undefined && next.attempt <= run.attempt
  }

  #exits(): void {
    for (const { pid, endedBy, exit, startedAt, endedAt, lastWords } of this.#evidence.lives) {
      if (endedAt === undefined) this.#findings.push(`process ${pid} never ended`)
      else if (exit?.code === exitCodes.internal) {
        const said = this.#evidence.said(endedAt - aroundMs, endedAt).filter((told) => told.pid === pid)
        this.#findings.push(`process ${pid} has a defect: ${said.map(({ line }) => line).join(', ')}`)
      }
      // Ending itself by SIGKILL is how one ends whose threads do not end in time, which a busy machine may cause.
      // Whoever starts while the broker is away, or refuses it, ends by and by, and says why by its exit code; perhaps
      // just as it is asked to stop.
      else if (endedBy !== 'kill' && notStarted.has(exit?.code ?? 0) && this.#isStruck(startedAt, endedAt))
        continue
      else if (endedBy === 'stop' && exit?.code !== 0 && exit?.signal !== 'SIGKILL') {
        this.#findings.push(`process ${pid} was asked to stop and ended with ${JSON.stringify(exit)}`)
      } else if (endedBy === undefined && !this.#strike('die', 0, endedAt, [pid])) {
        this.#findings.push(`process ${pid} died by itself: ${JSON.stringify(exit)} ${lastWords}`)
      }
    }
  }

  #unexpected(id: string): void {
    this.#findings.push(`unexpected: ${id}, which nobody published (${this.#story(id)})`)
  }

  #hasCompleted(id: string): boolean {
    return this.#runs.get(id)?.some((run) => run.how === 'returned') ?? false
  }

  #isDead(id: string): boolean {
    return this.#letters.has(id) || this.#evidence.saidDead.has(id)
  }

  #mayBeLost({ sentAt }: Publication): boolean {
    return this.#strikes('lose', sentAt, Number.POSITIVE_INFINITY).length > 0
  }

  /** How many attempts faults may have charged in this time. */
  #charges(from: number, to: number): number {
    const often = this.#strikes('charge often', from, to).length > 0
    return often ? Number.POSITIVE_INFINITY : this.#strikes('charge', from, to).length
  }

  /** A fault that may do this, overlapped this time, and hit one of these processes. */
  #strike(power: Power, from: number, to: number, pids: readonly number[]): Strike | undefined {
    return this.#strikes(power, from, to).find(
      (strike) => strike.pids === undefined || strike.pids.some((pid) => pids.includes(pid)),
    )
  }

  #isStruck(from: number, to: number): boolean {
    return this.#evidence.strikes.some((strike) => strike.from <= to && strike.to >= from)
  }

  #strikes(power: Power, from: number, to: number): Strike[] {
    return this.#evidence.strikes.filter(
      (strike) => strike.powers.includes(power) && strike.from <= to && strike.to >= from,
    )
  }

  /** What is known of a job, in one line. */
  #story(id: string): string {
    const start = this.#evidence.publications.get(id)?.sentAt ?? 0
    const at = (instant: number): string => `${Math.round(instant - start)}`
    const runs = this.#runs.get(id) ?? []
    const told = runs.map((run) => {
      const aborted = run.aborted === undefined ? '' : ` aborted ${run.aborted}`
      return `${at(run.startedAt)}..${at(run.lastSeenAt)} ms ${run.move} #${run.attempt} ${run.how}${aborted} in ${run.pid}/${run.thread}`
    })
    for (const letter of this.#letters.get(id) ?? []) {
      told.push(
        `${at(letter.storedAt)} ms dead letter ${letter.sequence}: ${letter.reason} ${letter.headers['Millrace-Attempts']}`,
      )
    }
    for (const { pid, at: instant, line } of this.#evidence.told(id))
      told.push(`${at(instant)} ms ${pid} logged ${line}`)
    const end = Number.POSITIVE_INFINITY
    // What has to explain it struck around its runs, or else after it was published.
    const [from, to] = [(runs[0]?.startedAt ?? start) - aroundMs, (runs.at(-1)?.startedAt ?? end) + aroundMs]
    const strikes = this.#evidence.strikes
      .filter((strike) => strike.to >= from && strike.from <= to)
      .map(({ from, to, fault, pids }) => `${at(from)}..${at(to)} ${fault}${pids ? ` in ${pids}` : ''}`)
    const ended = this.#evidence.lives.flatMap(({ pid, endedAt, endedBy, exit }) =>
      endedAt === undefined
        ? []
        : [{ pid, at: endedAt, line: `ended by ${endedBy ?? 'itself'} with ${exit?.signal ?? exit?.code}` }],
    )
    const said = [...this.#evidence.said(from, to), ...ended]
      .filter(({ at: instant }) => instant >= from && instant <= to)
      .sort((one, other) => one.at - other.at)
      .map(({ pid, at: instant, line }) => `${at(instant)} ms ${pid} ${line}`)
    return `${told.join('; ') || 'never ran'}; faults: ${strikes.slice(0, 12).join(', ') || 'none'}; said: ${said.slice(0, 20).join(', ') || 'nothing'}`
  }
}
