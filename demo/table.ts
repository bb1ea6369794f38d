/** Lays rows out in columns; the first row is the head. Columns that hold only numbers are set flush right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length)),
  )
  const isNumeric = head.map((_, column) => rows.every((row) => /^[\d,]*$/.test(row[column]!)))
  const format = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        isNumeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd()
  const rule = widths.map((width) => '─'.repeat(width)).join('  ')
  return [format(head), rule, ...rows.map(format)].map((line) => `  ${line}`).join('\n')
}
