/** One sample of a Prometheus page. */
export type Sample = { name: string; labels: Record<string, string>; value: number }

/** Reads the supervisor's `/metrics`. */
export async function readMetrics(supervisorUrl: string): Promise<Sample[]> {
  const response = await fetch(`${supervisorUrl}/metrics`)
  const page = await response.text()
  return page.split('\n').flatMap((line) => {
    const [, name, labels, value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) return []
    const pairs = [...(labels ?? '').matchAll(/([a-z_]+)="((?:\\.|[^"\\])*)"/g)]
    return [
      { name, labels: Object.fromEntries(pairs.map(([, key, text]) => [key, text])), value: Number(value) },
    ]
  })
}

/** The sum of the samples of one metric that have these labels. */
export function sumOf(samples: readonly Sample[], name: string, labels: Record<string, string> = {}): number {
  const wanted = Object.entries(labels)
  return samples
    .filter((sample) => sample.name === name && wanted.every(([key, text]) => sample.labels[key] === text))
    .reduce((sum, sample) => sum + sample.value, 0)
}
