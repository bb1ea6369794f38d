import type { DevBroker } from './dev-broker.ts'

/** What there is, once it runs, and how to give it something to do. */
export function bannerOf(about: {
  readonly readyMs: number
  readonly broker: Pick<DevBroker, 'url' | 'about' | 'isUsual'>
  /** Of health and metrics. */
  readonly url: string | undefined
  /** As one would type it. */
  readonly folder: string
  readonly handlers: readonly string[]
  readonly namespace: string
}): string {
  const { broker, url, handlers, folder, namespace } = about
  const rows: [string, string][] = [['broker', `${broker.url}  (${broker.about})`]]
  if (url !== undefined) rows.push(['health', `${url}/readyz`], ['metrics', `${url}/metrics`])
  rows.push(['handlers', handlers.length > 0 ? handlers.join(', ') : `none in ${folder} yet`])
  const [first] = handlers
  const environment = [
    ...(broker.isUsual ? [] : [`NATS_URL=${broker.url} `]),
    ...(namespace === 'jobs' ? [] : [`MILLRACE_NAMESPACE=${namespace} `]),
  ].join('')
  if (first !== undefined) rows.push(['try', `${environment}npx millrace enqueue ${first} '{}'`])
  rows.push(['watch', `${environment}npx millrace top${url === undefined ? '' : ` --metrics ${url}`}`])
  rows.push(['save', `a file in ${folder} to run its new code`], ['Ctrl-C', 'ends everything'])
  const lines = rows.map(([name, text]) => `  ${name.padEnd(8)}  ${text}`)
  return [`millrace dev is ready after ${(about.readyMs / 1_000).toFixed(1)} s`, '', ...lines, ''].join('\n')
}
