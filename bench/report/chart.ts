import type { Row, ScenarioResult } from '../summary.ts'
import { formatSpread } from './table.ts'

const width = 760
const valueWidth = 190
/** About what a letter takes; names are not measured, and a name may be a little narrower than its room. */
const letterWidth = 7
const barHeight = 16
const rowHeight = 26
const headHeight = 44
/** Readable on light and on dark pages: a picture in a page follows the reader's setting by itself. */
const style = `
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 13px }
  .unit, .value { fill: #59636e }
  .bar { fill: #8c959f }
  .own { fill: #0969da }
  .range { stroke: #1f2328; stroke-width: 1 }
  .axis { stroke: #d1d9e0; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .unit, .value { fill: #9198a1 }
    .bar { fill: #656c76 }
    .own { fill: #4493f8 }
    .range { stroke: #f0f6fc }
    .axis { stroke: #3d444d }
  }`

/**
 * A bar for each contestant with the median of a scenario's first measure, and a line from the least to
 * the greatest. Ours are in colour. A standalone SVG without scripts or fonts of its own.
 */
export function drawChart({ scenario, rows }: ScenarioResult): string {
  const { key, label, digits } = scenario.measures[0]!
  const greatest = Math.max(
    0,
    ...rows.map(({ values }) => values[key]!.max).filter((max) => !Number.isNaN(max)),
  )
  const nameWidth = 12 + letterWidth * Math.max(...rows.map(({ name }) => name.length))
  const barWidth = width - nameWidth - valueWidth
  const scale = (value: number) => (greatest === 0 ? 0 : (Math.max(0, value) / greatest) * barWidth)
  const height = headHeight + rows.length * rowHeight + 10
  const own = new Set(scenario.contestants.filter(({ isOwn }) => isOwn).map(({ name }) => name))
  const bars = rows.map((row, index) =>
    drawRow(row, own.has(row.name), {
      top: headHeight + index * rowHeight,
      left: nameWidth,
      key,
      digits,
      scale,
    }),
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(scenario.title)}">
<style>${style}
</style>
<text class="title" x="0" y="16">${escapeXml(scenario.title)}</text>
<text class="unit" x="${nameWidth}" y="34">${escapeXml(label)}: median, least to greatest</text>
<line class="axis" x1="${nameWidth}" y1="${headHeight - 4}" x2="${nameWidth}" y2="${height - 8}"/>
${bars.join('\n')}
</svg>
`
}

function drawRow(
  row: Row,
  isOwn: boolean,
  place: { top: number; left: number; key: string; digits: number; scale: (value: number) => number },
): string {
  const { top, left, key, digits, scale } = place
  const { median, min, max } = row.values[key]!
  const middle = top + barHeight / 2
  const name = `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escapeXml(row.name)}</text>`
  if (Number.isNaN(median)) {
    return `${name}\n<text class="value" x="${left + 6}" y="${middle + 4}">no number</text>`
  }
  const at = (value: number) => (left + scale(value)).toFixed(1)
  return [
    name,
    `<rect class="${isOwn ? 'own' : 'bar'}" x="${left}" y="${top}" width="${scale(median).toFixed(1)}" height="${barHeight}" rx="2"/>`,
    `<line class="range" x1="${at(min)}" y1="${middle}" x2="${at(max)}" y2="${middle}"/>`,
    `<text class="value" x="${(left + scale(max) + 8).toFixed(1)}" y="${middle + 4}">${escapeXml(formatSpread(row.values[key]!, digits))}</text>`,
  ].join('\n')
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
