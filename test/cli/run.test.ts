import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from '#src/cli/run.js'

/** Runs a command inside this process; it must come to its end without a broker. */
async function typed(words: readonly string[]) {
  let stdout = ''
  let stderr = ''
  const code = await run(words, {
    print: (text) => {
      stdout += `${text}\n`
    },
    narrate: (text) => {
      stderr += `${text}\n`
    },
    read: async () => Buffer.from('{'),
    taken: async () => {},
    wipe: () => {},
    interactive: false,
    ask: async () => '',
    paint: () => {},
    colours: false,
    barColumns: undefined,
    drawBar: () => {},
    openScreen: () => undefined,
    columns: undefined,
  })
  return { code, stdout, stderr }
}

test('what is typed wrongly is one message and exit 2, without a look for the broker', async () => {
  const wrong: [string[], RegExp][] = [
    [[], /usage: millrace <command>/],
    [['enqueu', 'a'], /"enqueu" is not a command, did you mean enqueue\?/],
    [['schedules'], /millrace schedules needs one of ls, run$/m],
    [['dead', 'replya'], /needs one of ls, show, .* did you mean millrace dead replay\?/],
    [['ded', 'show', '1'], /"ded" is not a command, did you mean dead show\?/],
    [['retrys'], /"retrys" is not a command, did you mean retries\?/],
    [['shedules', 'ls'], /did you mean schedules ls\?/],
    [['stauts'], /did you mean status\?/],
    [['help', 'stauts'], /did you mean status\?/],
    [['entirely-unheard-of'], /see millrace --help/],
    [['--json', 'status'], /--json comes before a command, .* millrace <command> --json/],
    [['status', '--wach'], /did you mean --watch\?/],
    [['top'], /top needs a terminal; .* millrace status --watch --json/],
    [['dev', '--port', 'x'], /--port must be a whole number from 0 to 65535/],
    [['retries', 'ls', '--limit', '0'], /--limit must be a whole number/],
    [['completion', 'powershell'], /one of bash, zsh, fish, got "powershell"/],
    [['enqueue'], /something is missing: millrace enqueue <handler>/],
    [['enqueue', 'a', '{}', '--kee', 'k'], /did you mean --key\?/],
    [['enqueue', 'a b', '{}'], /a handler's name is made of/],
    [['enqueue', 'a', "{'a':1}"], /the payload is not valid JSON/],
    [['enqueue', 'a', '@no/such/file'], /cannot read "no\/such\/file"/],
    [['enqueue', 'a', '1', '--in', 'soon'], /--in must be a duration/],
    [['enqueue', 'a', '1', '--in', '1s', '--run-at', '2031-01-01T00:00:00Z'], /--in and --run-at/],
    [['enqueue', 'a', '1', '--run-at', '2031-01-01'], /RFC 3339/],
    [['enqueue', 'a', '1', '--priority', 'urgent'], /one of high, normal, low/],
    [['enqueue', 'a', '1', '--header', 'no-colon'], /--header must be Name:value/],
    [['enqueue', 'a', '1', '--header', 'Nats-Rollup:all'], /belongs to the server/],
    [['pause', 'a..b'], /a handler's name/],
    [['cancel', ''], /a job's id/],
    [['result', 'a', '--wait', '5'], /--wait must be a duration/],
    [['enqueue', 'a', '-'], /the payload is not valid JSON/],
  ]
  for (const [words, message] of wrong) {
    const { code, stdout, stderr } = await typed(words)
    assert.equal(code, 2, `${words.join(' ')}: ${stderr}`)
    assert.match(stderr, message)
    assert.equal(stdout, '')
    assert.doesNotMatch(stderr, /\n\s+at /, 'a stack')
  }
})

test('wrong usage of start is the 64 of a supervisor', async () => {
  assert.equal((await typed(['start', '--thread', '7'])).code, 64)
  assert.equal((await typed(['start', 'now'])).code, 64)
  assert.equal((await typed(['start', '--context', 'orders'])).code, 64)
})

test('help and version are data', async () => {
  const enqueue = await typed(['enqueue', '--help'])
  assert.deepEqual([enqueue.code, enqueue.stderr], [0, ''])
  assert.match(enqueue.stdout, /--priority <high\|normal\|low>/)
  assert.match((await typed(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
  assert.deepEqual(await typed(['help', 'enqueue']), enqueue)
  for (const words of [
    ['dead', '--help'],
    ['help', 'dead'],
  ]) {
    const family = await typed(words)
    assert.equal(family.code, 0)
    assert.match(family.stdout, /^usage: millrace dead <command>/)
    assert.match(family.stdout, /^ {2}dead replay /m)
    assert.doesNotMatch(family.stdout, /enqueue/)
  }
  for (const word of ['--help', '-h', 'help']) assert.match((await typed([word])).stdout, /usage: millrace/)
})
