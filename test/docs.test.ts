import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import type { SettingRow } from '#src/config/row.js'
import { ignoredVariables, settingNames, settingTable } from '#src/config/table.js'
import { errorCodes } from '#src/core/errors.js'
import { adminCodes } from '#src/http/admin.js'
import { metricTable } from '#src/telemetry/metrics.js'

const root = path.resolve(import.meta.dirname, '../..')
const rootPages = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']
const pages = [...rootPages, ...listFiles('docs').filter((file) => file.endsWith('.md'))]
/** Written by `npm run bench`, so it may not be there yet. */
const generatedPages = ['docs/benchmarks.md']
/** The handler of the introduction. */
const imaginedFiles = ['handlers/email/send.ts']

test('docs/settings.md is the table of settings', () => {
  const rows: [string, SettingRow<unknown>][] = settingNames.map((name) => [name, settingTable[name]])
  const expected = rows.map(([name, { variable, default: fallback, kind, meaning }]) => [
    `\`${variable}\``,
    `\`${name}\``,
    fallback.text ?? String(fallback.value()),
    kind.expected,
    meaning,
  ])
  assertSameRows(tableRows('docs/settings.md', 'Variable', 'Option'), expected)
  const consequences = rows
    .filter(([, row]) => row.tooLow !== undefined || row.tooHigh !== undefined)
    .map(([, row]) => [`\`${row.variable}\``, row.tooLow ?? '', row.tooHigh ?? '', row.default.reason])
  assertSameRows(tableRows('docs/settings.md', 'Variable', 'Too low'), consequences)
})

test('docs/metrics.md is the table of metrics', () => {
  const expected = Object.entries(metricTable).map(([name, [type, labels, help]]) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ])
  assertSameRows(tableRows('docs/metrics.md', 'Metric'), expected)
})

test('docs/errors.md is the list of error codes', () => {
  const documented = tableRows('docs/errors.md', 'Code')
  assertSameRows(
    documented.map((row) => row.slice(0, 2)),
    Object.entries(errorCodes).map(([code, meaning]) => [`\`${code}\``, meaning]),
  )
  for (const [code, , cause, remedy] of documented)
    assert.ok(cause && remedy, `${code} lacks cause or remedy`)
})

test('docs/http.md lists every code of the admin actions with its status', () => {
  const documented = tableRows('docs/http.md', 'Code', 'Status')
  assertSameRows(
    documented.map((row) => row.slice(0, 2)),
    Object.entries(adminCodes).map(([code, status]) => [`\`${code}\``, String(status)]),
  )
})

test('docs/operations.md lists every log message, and no other', () => {
  const documented = tableRows('docs/operations.md', 'Message').map(([message]) => bare(message!))
  const written = new Set(listFiles('src').flatMap((file) => findLogMessages(read(file))))
  assert.deepEqual(documented.toSorted(), [...written].sort())
  for (const page of pages) {
    for (const [, message] of read(page).matchAll(/log lines?\s+`([^`]+)`/g)) {
      assert.ok(written.has(message!), `${page} names the log line "${message}", which nothing writes`)
    }
  }
})

test('every variable, metric and source file that a page names exists', () => {
  const variables = new Set([
    ...settingNames.flatMap((name) => [settingTable[name].variable, `${settingTable[name].variable}_FILE`]),
    ...ignoredVariables,
  ])
  const metrics = new Set<string>(Object.keys(metricTable))
  for (const page of pages) {
    const text = read(page)
    for (const [variable] of text.matchAll(/MILLRACE_[A-Z][A-Z_]*[A-Z]/g)) {
      assert.ok(variables.has(variable), `${page} names ${variable}, which is no setting`)
    }
    for (const [metric] of text.matchAll(/\bmillrace_[a-z_]+[a-z]/g)) {
      assert.ok(metrics.has(metric), `${page} names ${metric}, which is no metric`)
    }
    for (const [, file] of text.matchAll(/`((?:src|test|handlers|deploy|scripts)\/[\w./-]+\.\w+)`/g)) {
      const isThere = imaginedFiles.includes(file!) || existsSync(path.join(root, file!))
      assert.ok(isThere, `${page} names ${file}, which does not exist`)
    }
  }
})

test('every relative link of every page leads somewhere', () => {
  for (const page of pages) {
    for (const [, target] of withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue
      const [file, anchor] = target!.split('#', 2)
      const to = file === '' ? page : path.join(path.dirname(page), file!)
      if (!existsSync(path.join(root, to))) {
        assert.ok(generatedPages.includes(to), `${page} links to ${target}, which does not exist`)
        continue
      }
      if (anchor !== undefined) {
        assert.ok(anchorsOf(read(to)).has(anchor), `${page} links to ${target}: there is no such heading`)
      }
    }
  }
})

test('the tests that prove a guarantee exist and say so in their names', () => {
  const promised = tableRows('README.md', '', 'Promise')
  assert.ok(promised.length > 0)
  for (const [id, , , tests] of promised) {
    const files = [...tests!.matchAll(/\]\(([^)]+)\)/g)].map(([, file]) => file!)
    assert.ok(files.length > 0, `${id} names no test`)
    for (const file of files) {
      const named = new RegExp(`['"\`](G\\d+ )*${id}[: ]`)
      assert.match(read(file), named, `${file} has no test whose name begins with ${id}`)
    }
    assert.ok(
      read('docs/guarantees.md').includes(`\n## ${id} `),
      `docs/guarantees.md lacks a section about ${id}`,
    )
  }
})

test('the TypeScript of every page compiles, and the tests among it pass', async (t) => {
  const folder = mkdtempSync(path.join(root, 'build', 'docs-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const tests: string[] = []
  const written = pages.flatMap((page) => {
    const blocks = [...read(page).matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code!)
    return blocks.map((code, index) => {
      const file = path.join(folder, `${page.replaceAll(/[/.]/g, '-')}-${index + 1}.ts`)
      writeFileSync(file, code)
      if (code.includes("from 'node:test'")) tests.push(file.replace(/\.ts$/, '.js'))
      return file
    })
  })
  assert.ok(written.length > 0, 'no page has a block of TypeScript')
  assert.ok(tests.length > 0, 'no page has a test')
  const compilerOptions = { composite: false, declaration: false, incremental: false, sourceMap: false }
  writeFileSync(
    path.join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.base.json', compilerOptions, include: ['*.ts'] }),
  )
  const compiler = path.join(root, 'node_modules', '.bin', 'tsc')
  const run = promisify(execFile)
  const { stdout } = await run(compiler, ['-p', folder]).catch((error: { stdout?: string }) => ({
    stdout: error.stdout || String(error),
  }))
  assert.equal(stdout, '')
  // The runner of this test would take their reports for its own.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  await run(process.execPath, ['--test', ...tests], { env }).catch((error: { stdout?: string }) =>
    assert.fail(error.stdout || String(error)),
  )
})

test('the README has at most 250 lines', () => {
  assert.ok(read('README.md').trimEnd().split('\n').length <= 250)
})

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8')
}

/** Paths of the files below a folder of the project, relative to the project. */
function listFiles(folder: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .sort()
}

/** The cells of every table of a page whose first columns have these titles. */
function tableRows(page: string, ...titles: string[]): string[][] {
  const rows: string[][] = []
  let inside = false
  let before: string[] | undefined
  for (const line of read(page).split('\n')) {
    const cells = line.startsWith('|') ? splitRow(line) : undefined
    if (cells === undefined) inside = false
    else if (before !== undefined && cells.every((cell) => /^:?-+:?$/.test(cell))) {
      inside = titles.every((title, index) => before?.[index] === title)
    } else if (inside) rows.push(cells)
    before = cells
  }
  return rows
}

function splitRow(line: string): string[] {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('\\|', '|').replaceAll('&lt;', '<'))
}

/** Compares row by row, so that the message shows the row to write. */
function assertSameRows(documented: string[][], expected: string[][]): void {
  for (const row of expected) {
    const found = documented.find(([first]) => first === row[0])
    assert.ok(found, `this row is missing:\n| ${row.join(' | ')} |`)
    assert.deepEqual(found, row, `this row should be:\n| ${row.join(' | ')} |`)
  }
  const known = new Set(expected.map(([first]) => first))
  const surplus = documented.map(([first]) => first).filter((first) => !known.has(first))
  assert.deepEqual(surplus, [], 'the page documents what does not exist')
  assert.equal(documented.length, expected.length, 'a row stands twice')
}

function bare(cell: string): string {
  return cell.replaceAll('`', '')
}

/** The literal messages of the calls that write a log line. */
function findLogMessages(source: string): string[] {
  const call = /(?:[lL]ogger|#jobs)\s*\.(?:info|warn|error|fatal)\(/g
  const messages = [...source.matchAll(call)].map((match) => {
    const [literal] = /'[^']*'(?=,?\s*$)/.exec(argumentsAt(source, match.index + match[0].length)) ?? []
    return literal?.slice(1, -1)
  })
  const plain = [...source.matchAll(/\bmsg: '([^']+)'/g)].map(([, message]) => message)
  return [...messages, ...plain].filter((message) => message !== undefined)
}

/** The text from an opening parenthesis to the one that closes it. */
function argumentsAt(source: string, start: number): string {
  let depth = 1
  let at = start
  for (; depth > 0 && at < source.length; at += 1) {
    if (source[at] === '(') depth += 1
    if (source[at] === ')') depth -= 1
  }
  return source.slice(start, at - 1)
}

function withoutCode(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '')
}

/** The anchors that GitHub gives the headings of a page. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/^#{1,6} (.+)$/gm)
  return new Set(
    [...headings].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}
