/** One sample of a `/metrics` page. */
export interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

/** A `/metrics` page, parsed. */
export class Metrics {
  readonly text: string
  readonly samples: Sample[] = []
  /** Metric name to type, from the `# TYPE` lines. */
  readonly types = new Map<string, string>()

  constructor(text: string) {
    this.text = text
    for (const line of text.split('\n')) {
      const type = /^# TYPE (\S+) (\S+)$/.exec(line)
      if (type) this.types.set(type[1]!, type[2]!)
      if (line === '' || line.startsWith('#')) continue
      const sample = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
      if (!sample) throw new Error(`not a line of a metrics page: ${line}`)
      this.samples.push({ name: sample[1]!, labels: parseLabels(sample[2] ?? ''), value: Number(sample[3]) })
    }
  }

  /** The sum of all samples with this name and at least these labels; 0 when there are none. */
  sum(name: string, labels: Record<string, string> = {}): number {
    return this.find(name, labels).reduce((sum, sample) => sum + sample.value, 0)
  }

  find(name: string, labels: Record<string, string> = {}): Sample[] {
    return this.samples.filter(
      (sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    )
  }
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const [, name, value] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name!] = value!.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
  }
  return labels
}
