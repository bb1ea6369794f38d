import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { metricTable } from '#src/telemetry/metrics.js'

const deploy = fileURLToPath(new URL('../../../deploy', import.meta.url))
const rules = readFileSync(`${deploy}/prometheus-rules.yml`, 'utf8')
const ruleTests = readFileSync(`${deploy}/prometheus-rules.test.yml`, 'utf8')
const promtool = spawnSync('promtool', ['--version'])
const unlessPromtool = promtool.error !== undefined && 'promtool is missing: apt-get install prometheus'

test('every metric in the alert rules and their tests exists, with its labels', () => {
  const known = metricTable as Readonly<Record<string, readonly [string, readonly string[], string]>>
  const found = `${rules}\n${ruleTests}`.matchAll(/\b(millrace_[a-z_]+)(?:\{([^}]*)\})?/g)
  let count = 0
  for (const [, name, selector = ''] of found) {
    const row = known[name!] ?? known[name!.replace(/_(bucket|sum|count)$/, '')]
    assert.ok(row, `${name} is not a metric of src/telemetry/metrics.ts`)
    const labels = [...selector.matchAll(/(\w+)=~?"/g)].map(([, label]) => label!)
    for (const label of labels) {
      // The scrape adds the first two.
      assert.ok(['job', 'instance', ...row[1]].includes(label), `${name} has no label ${label}`)
    }
    count += 1
  }
  assert.ok(count > 0)
})

test('every alert has a test in which it fires', () => {
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, alert]) => alert!)
  assert.ok(alerts.length > 0)
  const untested = alerts.filter((alert) => !ruleTests.includes(`alertname="${alert}"`))
  assert.deepEqual(untested, [])
})

test('the alerts fire when they should and not before', { skip: unlessPromtool }, () => {
  for (const args of [
    ['check', 'rules', 'prometheus-rules.yml'],
    ['test', 'rules', 'prometheus-rules.test.yml'],
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: deploy, encoding: 'utf8' })
    assert.equal(status, 0, `promtool ${args.join(' ')}\n${stdout}${stderr}`)
  }
})
