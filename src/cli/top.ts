import type { Queues } from '../client/queues.ts'
import { readCliSettings } from './cli-settings.ts'
import { type Command, cliExitCodeOf, cliExitCodes, type Screen, usageError } from './command.ts'
import { metricsUrl, readFigures } from './supervisor-figures.ts'
import { TopRates } from './top-rates.ts'
import { TopSupervisors } from './top-supervisors.ts'
import { type TopOrder, topLines, topOrders, topRoom } from './top-view.ts'
import { withClient } from './with-client.ts'

const everyMs = 1_000

/** `millrace top`: how all handlers stand, on the whole terminal, again every second. */
export const top: Command = {
  name: 'top',
  arguments: '',
  takes: [0, 0],
  summary: 'watch all handlers, on the whole terminal',
  details:
    'The columns are those of millrace status; jobs/s are attempts that ended, over the last seconds. Red waits and nobody\n' +
    'takes it, yellow is paused. The broker says all this, so no supervisor need run; those of --metrics add what only they\n' +
    'know: p95, the time that 95 of 100 attempts of the last minute took at most, and what they have in flight. Keys:\n' +
    'q quits, s orders by another column, the arrows scroll.',
  flags: {
    metrics: {
      value: '<address>',
      help: 'of the HTTP port of a supervisor, for its threads and times; may be repeated',
      multiple: true,
    },
  },
  example: 'millrace top --metrics http://127.0.0.1:9464',

  async run(typed, console) {
    if (typed.json || !console.interactive || console.columns === undefined)
      throw usageError('top needs a terminal; for a program or a file: millrace status --watch --json')
    const addresses = typed.texts('metrics').map(metricsUrl)
    const { settings } = readCliSettings(typed.context)
    const about = { namespace: settings.namespace, server: settings.nats.servers.join(', ') }
    await withClient(typed, async (client) => {
      const screen = console.openScreen()
      if (!screen)
        throw usageError('top needs a terminal; for a program or a file: millrace status --watch --json')
      try {
        await watch({ read: () => client.queues(), addresses }, screen, about, console.colours)
      } finally {
        screen.close()
      }
    })
    return cliExitCodes.ok
  },
}

async function watch(
  from: { read(): Promise<Queues | undefined>; readonly addresses: readonly string[] },
  screen: Screen,
  about: { readonly namespace: string; readonly server: string },
  colours: boolean,
): Promise<void> {
  const rates = new TopRates()
  const supervisors = from.addresses.length > 0 ? new TopSupervisors() : undefined
  let queues: Queues | undefined
  let problem: string | undefined
  let order: TopOrder = 'name'
  let scrolled = 0
  let isOver = false
  let wake: () => void = () => {}

  const room = (): number => topRoom(screen, from.addresses.length)
  const draw = (): void => {
    const most = Math.max(0, (queues?.handlers.length ?? 0) - room())
    scrolled = Math.min(Math.max(0, scrolled), most)
    const { columns, rows } = screen
    const state = {
      ...about,
      now: new Date(),
      queues,
      history: rates.history,
      order,
      scrolled,
      problem,
      supervisors,
    }
    screen.draw(
      topLines({ ...state, rateOf: (handler) => rates.rateOf(handler) }, { columns, rows, colours }),
    )
  }
  const keys: Record<string, () => void> = {
    q: quit,
    escape: quit,
    quit,
    s: () => {
      order = topOrders[(topOrders.indexOf(order) + 1) % topOrders.length]!
    },
    up: () => {
      scrolled -= 1
    },
    down: () => {
      scrolled += 1
    },
    pageup: () => {
      scrolled -= room()
    },
    pagedown: () => {
      scrolled += room()
    },
    resize: () => {},
  }
  screen.onKey = (key) => {
    if (!Object.hasOwn(keys, key)) return
    keys[key]!()
    if (!isOver) draw()
  }
  const over = new Promise<void>((resolve) => {
    wake = resolve
  })
  draw()
  while (!isOver) {
    const next = new Promise((resolve) => setTimeout(resolve, everyMs))
    await Promise.race([Promise.all([sample(), ask()]), over])
    if (isOver) return
    draw()
    await Promise.race([next, over])
  }

  function quit(): void {
    isOver = true
    wake()
  }

  async function ask(): Promise<void> {
    if (supervisors) supervisors.add(await Promise.all(from.addresses.map(readFigures)))
  }

  async function sample(): Promise<void> {
    try {
      queues = await from.read()
      rates.add(performance.now(), queues?.handlers ?? [])
      problem = undefined
    } catch (error) {
      // Whoever watches wants to see the broker come back.
      if (cliExitCodeOf(error) !== cliExitCodes.unreachable) throw error
      problem = (error as Error).message
    }
  }
}
