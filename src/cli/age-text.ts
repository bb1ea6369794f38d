/** An age as short as it stays telling: `12s`, `3m`, `5h`, `2d`. */
export function ageText(seconds: number): string {
  if (seconds === 0) return '-'
  const units: [number, string][] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'm'],
    [1, 's'],
  ]
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, 's']
  return `${Math.floor(seconds / size)}${unit}`
}
