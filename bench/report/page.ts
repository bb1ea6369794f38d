import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { ScenarioResult } from '../summary.ts'
import { drawChart } from './chart.ts'
import type { Environment } from './environment.ts'
import { toJson } from './json.ts'
import { toMarkdown } from './markdown.ts'

/** The folder of the pictures, beside the page. */
const picturesDir = 'benchmarks'

/** Writes the page, its pictures and every run behind them into the folder of the docs; answers the files. */
export function writePage(
  docsDir: string,
  environment: Environment,
  results: readonly ScenarioResult[],
): string[] {
  mkdirSync(path.join(docsDir, picturesDir), { recursive: true })
  const pictures = results.map((result) => ({
    file: `${picturesDir}/${result.scenario.name}.svg`,
    name: result.scenario.name,
    text: drawChart(result),
  }))
  for (const { file, text } of pictures) writeFileSync(path.join(docsDir, file), text)
  const page = path.join(docsDir, 'benchmarks.md')
  const chartOf = (scenario: string) => pictures.find(({ name }) => name === scenario)?.file
  writeFileSync(page, toMarkdown(environment, results, chartOf))
  const json = path.join(docsDir, picturesDir, 'runs.json')
  writeFileSync(json, toJson(environment, results))
  return [page, json, ...pictures.map(({ file }) => path.join(docsDir, file))]
}
