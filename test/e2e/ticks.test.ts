import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { headers as createHeaders } from '@nats-io/transport-node'
import { millrace } from '../support/command-line.ts'
import { eventually } from '../support/eventually.ts'
import { projectRoot } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

const scheduledHandlers = join(projectRoot, 'test/fixtures/handlers/scheduled')

/** Writes the file of a world's schedules, and returns the setting that names it. */
function declare(world: World, schedules: unknown): Record<string, string> {
  const path = join(world.folder, 'schedules.json')
  writeFileSync(path, typeof schedules === 'string' ? schedules : JSON.stringify(schedules))
  return { MILLRACE_SCHEDULES: path }
}

/** The instants of the jobs that a schedule has had, from their ids, in order. */
function instantsOf(world: World, schedule: string): number[] {
  const prefix = `tick:${schedule}:`
  const ids = [...world.ledger.count('start').keys()].filter((id) => id.startsWith(prefix))
  return ids.map((id) => Date.parse(id.slice(prefix.length))).sort((a, b) => a - b)
}

/** Real time has to pass: nobody is there who could tell that ticks go by. */
async function passed(instant: number): Promise<void> {
  await eventually(`it is ${new Date(instant).toISOString()}`, () => Date.now() >= instant)
}

test('G7: every tick has exactly one job, though supervisors and the broker are killed', async (t) => {
  const env = { MILLRACE_HANDLERS: scheduledHandlers, MILLRACE_ACK_WAIT_MS: '2000' }
  const world = await World.create(t, { env })
  const { ledger, server } = world
  const [victim, ...others] = [world.spawn(), world.spawn(), world.spawn()]
  const ticks = (): number => instantsOf(world, 'often').length
  const more = async (count: number): Promise<void> => {
    const target = ticks() + count
    await eventually(`${target} ticks`, () => ticks() >= target)
  }
  await more(6)
  await victim!.kill()
  const successor = world.spawn()
  await more(8)
  await successor.ready()
  const killedAt = Date.now()
  server.kill('SIGKILL')
  await server.ended()
  await server.restart()
  await more(8)
  // A job whose delivery was lost with the broker comes again after the ack wait.
  const hasGap = (): boolean =>
    instantsOf(world, 'often').some((at, n, all) => n > 0 && at !== all[n - 1]! + 250)
  await eventually('no tick is missing', () => !hasGap())
  // One that comes while they stop waits for the next supervisor.
  const until = Math.max(...instantsOf(world, 'often'))
  for (const supervisor of [...others, successor]) {
    assert.deepEqual(await supervisor.stop(), { code: 0, signal: null })
  }

  const instants = instantsOf(world, 'often').filter((instant) => instant <= until)
  const first = instants[0]!
  assert.deepEqual(
    instants,
    instants.map((_, index) => first + index * 250),
    'a tick is missing',
  )
  const jobs = new Map<unknown, Set<unknown>>()
  for (const line of ledger.lines()) {
    assert.equal(line.id, `tick:often:${line['tick']}`, 'ctx.tick is the instant')
    assert.equal(line['payload'], null)
    jobs.set(line.id, (jobs.get(line.id) ?? new Set()).add(line['sequence']))
  }
  for (const [id, sequences] of jobs) assert.equal(sequences.size, 1, `${id} had several jobs`)
  // A broker that is killed may have forgotten the last acks, and with them that it delivered these jobs (G2).
  const mayBeForgotten = (tick: number): boolean => tick > killedAt - 2_000 && tick <= killedAt
  const firstRuns = ledger
    .lines()
    .filter((line) => line['redelivered'] === false && !mayBeForgotten(Date.parse(String(line['tick']))))
  assert.equal(new Set(firstRuns.map(({ id }) => id)).size, firstRuns.length, 'a job ran twice')
})

test('after a time without any supervisor, catchUp decides what is made up for', async (t) => {
  const world = await World.create(t)
  const schedule = (catchUp: string) => ({ name: catchUp, handler: 'act', everyMs: 500, catchUp })
  const file = declare(world, [schedule('none'), schedule('last'), schedule('all')])
  const kinds = ['none', 'last', 'all']
  const seen = (from: number): boolean =>
    kinds.every((kind) => instantsOf(world, kind).some((instant) => instant >= from))

  const first = await world.supervise(file)
  await eventually('all have begun', () => seen(0))
  await first.stop()
  const lastOf = (kind: string): number =>
    Math.max(
      ...first.lines
        .filter((line) => line.msg === 'tick published' && line['schedule'] === kind)
        .map((line) => Date.parse(String(line['instant']))),
    )
  const before = Math.max(...kinds.map(lastOf))
  await passed(before + 2_600)
  const second = await world.supervise(file)
  const running = Number((await second.line('running')).time)
  await eventually('ticks come again', () => seen(running + 500))
  const metrics = await second.metrics()
  await second.stop()

  // The supervisor became ready in between, so the last of the gap may be missed or on time.
  const gap = (kind: string) =>
    instantsOf(world, kind).filter((instant) => instant > before && instant < running - 500)
  const all = gap('all')
  assert.ok(all.length >= 3, `the gap has ${all.length} ticks`)
  assert.deepEqual(
    all,
    all.map((_, index) => before + (index + 1) * 500),
    'all of the missed ticks have a job',
  )
  assert.deepEqual(gap('none'), [])
  assert.ok(gap('last').length <= 1, 'of the missed ticks only the newest has a job')
  const missed = (kind: string) => metrics.sum('millrace_ticks_total', { schedule: kind, outcome: 'missed' })
  // The stop may have come between the last ticks of two schedules.
  const missedAfter = (kind: string) => missed(kind) - (before - lastOf(kind)) / 500
  assert.equal(missed('all'), 0)
  assert.equal(missedAfter('none'), missedAfter('last') + 1)
  const { missed: told } = await second.line(
    (line) => line.msg === 'ticks missed' && line['schedule'] === 'none',
  )
  assert.equal(told, missed('none'))
})

test('jobs of ticks are jobs like others: their payload, their dead letters, and overlap: skip', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_DUPLICATE_WINDOW_MS: '100' } })
  const gate = world.gate('now')
  const file = declare(world, [
    { name: 'held', handler: 'act', everyMs: 200, overlap: 'skip', payload: { do: 'hold', gate: gate.path } },
    { name: 'failing', handler: 'email.send', cron: '* * * * * *', payload: { do: ['throw', 'permanent'] } },
    { name: 'yearly', handler: 'act', cron: '0 0 1 1 *', payload: { n: 7 } },
  ])
  const supervisor = await world.supervise(file)
  await eventually('ticks are skipped while the job of one is not settled', async () => {
    const metrics = await supervisor.metrics()
    return metrics.sum('millrace_ticks_total', { schedule: 'held', outcome: 'skipped' }) >= 3
  })
  assert.equal(instantsOf(world, 'held').length, 1)
  gate.open()
  await eventually('then they have jobs again', () => instantsOf(world, 'held').length >= 3)

  const { job_id, instant, handler } = await supervisor.line(
    (line) => line.msg === 'tick published' && line['schedule'] === 'failing',
  )
  assert.equal(job_id, `tick:failing:${instant}`)
  assert.equal(handler, 'email.send')
  const letter = await world.broker.deadLetter(String(job_id))
  assert.equal(letter.reason, 'permanent')
  assert.equal(letter.headers['Millrace-Attempts'], '2')
  assert.equal(letter.headers['Millrace-Tick'], instant)
  assert.equal(letter.headers['Millrace-Schedule'], 'failing')

  await t.test('G7: a second job of a tick, stored when its id is forgotten, does not run', async () => {
    const runs = world.ledger.starts(String(job_id)).length
    const headers = createHeaders()
    headers.set('Millrace-Tick', String(instant))
    headers.set('Millrace-Schedule', 'failing')
    const { seq } = await eventually('its id is forgotten', async () => {
      const stored = await world.broker.js.publish('jobs.email.send', '{}', {
        msgID: String(job_id),
        headers,
      })
      return !stored.duplicate && stored
    })
    await eventually('it is gone', async () => {
      return (await world.broker.jsm.streams.getMessage('JOBS', { seq })) === null
    })
    await eventually('it is counted', async () => {
      const metrics = await supervisor.metrics()
      return metrics.sum('millrace_ticks_total', { schedule: 'failing', outcome: 'duplicate' }) >= 1
    })
    assert.equal(world.ledger.starts(String(job_id)).length, runs)
  })

  await t.test('a schedule is run by hand, besides its ticks', async () => {
    const run = (...args: string[]) => millrace(['schedules', 'run', ...args], { NATS_URL: world.server.url })
    const record = () =>
      world.broker.jsm.streams.getMessage('JOBS_TICKS', { last_by_subj: 'ticks.jobs.yearly' })
    const recordBefore = await record()
    const [yearly, byHandler, several, unknown] = await Promise.all([
      run('yearly', '--json'),
      run('email.send'),
      run('act'),
      run('yaerly', '--json'),
    ])
    assert.equal(yearly.code, 0, yearly.stderr)
    const job = JSON.parse(yearly.stdout) as { id: string; sequence: number }
    assert.match(job.id, /^run:yearly:20/)
    const expected = { schedule: 'yearly', handler: 'act', stream: 'JOBS', duplicate: false }
    assert.deepEqual(job, { ...expected, id: job.id, sequence: job.sequence })
    const [start] = await eventually('it runs', () => {
      const starts = world.ledger.starts(job.id)
      return starts.length > 0 && starts
    })
    assert.equal(start!['n'], 7)
    const recordAfter = await record()
    assert.deepEqual([recordAfter?.seq, recordAfter?.string()], [recordBefore?.seq, recordBefore?.string()])
    assert.equal(byHandler.code, 0, byHandler.stderr)
    const failed = await world.broker.deadLetter(byHandler.stdout.trim())
    assert.equal(`run:failing:${failed.headers['Millrace-Tick']}\n`, byHandler.stdout)
    assert.equal(failed.headers['Millrace-Schedule'], 'failing')
    assert.equal(several.code, 2)
    assert.match(several.stderr, /act has several schedules, say which: held, yearly/)
    assert.deepEqual(unknown, {
      code: 3,
      stdout: '',
      stderr: 'there is no schedule yaerly; did you mean yearly?\n',
    })
  })

  await world.broker.jsm.streams.delete('JOBS_TICKS')
  const before = instantsOf(world, 'held').length
  await eventually(
    'a stream that somebody deletes comes back',
    () => instantsOf(world, 'held').length >= before + 3,
  )
})

test('a file of schedules that is wrong ends the start with 78 and every problem at once', async (t) => {
  const world = await World.create(t)
  const wrong = world.spawn(
    declare(world, [
      { name: 'one', handler: 'acct', everyMs: 50 },
      { name: 'two', handler: 'act', cron: '0 0 30 2 *' },
      { name: 'two', handler: 'act', cron: '* * * * *', catchup: 'all' },
      { name: 'no spaces', handler: 'io', cron: '61 * * * *' },
      'five',
    ]),
  )
  assert.equal((await wrong.ended()).code, 78)
  for (const part of [
    'there is no handler "acct", did you mean act?',
    'everyMs must be a whole number of at least 100, got 50',
    'there is no such date',
    'the name stands twice',
    'catchup',
    '[3].name',
    '[4] must be an object',
  ]) {
    assert.ok(wrong.stderr.includes(part), `${part} is not in ${wrong.stderr}`)
  }
  const object = world.spawn(declare(world, {}))
  assert.equal((await object.ended()).code, 78)
  assert.match(object.stderr, /JSON array/)
  const noJson = world.spawn(declare(world, '[{]'))
  assert.equal((await noJson.ended()).code, 78)
  assert.match(noJson.stderr, /MILLRACE_SCHEDULES/)
})

test('without MILLRACE_MANAGE a missing stream of ticks is named, and ticks begin when it is there', async (t) => {
  const world = await World.create(t)
  await (await world.supervise()).stop()
  const file = declare(world, [{ name: 'soon', handler: 'act', everyMs: 200 }])
  const bound = world.spawn({ ...file, MILLRACE_MANAGE: 'false' })
  await bound.url()
  await eventually('/readyz names it', async () => (await bound.get('/readyz')).body.includes('JOBS_TICKS'))
  assert.equal(instantsOf(world, 'soon').length, 0)
  await (await world.supervise(file)).stop()
  const before = instantsOf(world, 'soon').length
  await eventually('it publishes', () => instantsOf(world, 'soon').length > before)
})
