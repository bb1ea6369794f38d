import type { SettingOrigin } from './read-setting.ts'
import type { SettingSources, Settings } from './settings.ts'
import { type SettingName, settingNames, settingTable } from './table.ts'

/** One line of `millrace config`. */
export interface SettingDescription {
  readonly name: string
  readonly value: unknown
  readonly source: SettingOrigin
}

const hidden = '***'

/** A copy for printing: secrets are `***`, and the addresses never had user-info. */
export function maskSettings(settings: Settings): Settings {
  const { nats } = settings
  return {
    ...settings,
    httpToken: mask(settings.httpToken),
    nats: { ...nats, nkey: mask(nats.nkey), password: mask(nats.password), token: mask(nats.token) },
  }
}

/** Every setting with its value, safe to print, and who set it; the rows of `millrace config`. */
export function describeSettings(settings: Settings, sources: SettingSources): SettingDescription[] {
  const masked = maskSettings(settings)
  return settingNames.map((name) => ({
    name: settingTable[name].variable,
    value: settingValue(masked, name),
    source: originOf(name, settings, sources),
  }))
}

/** User, password and token may have come with the address. */
function originOf(name: SettingName, { nats }: Settings, sources: SettingSources): SettingOrigin {
  const { origin } = sources[name]
  const carried = { natsUser: nats.user, natsPassword: nats.password, natsToken: nats.token }
  const isCarried = origin === 'default' && name in carried && carried[name as keyof typeof carried] !== null
  return isCarried ? sources.natsUrl.origin : origin
}

function settingValue(masked: Settings, name: SettingName): unknown {
  switch (name) {
    case 'natsUrl':
      return masked.nats.servers.join(',')
    case 'natsCreds':
      return masked.nats.creds
    case 'natsNkey':
      return masked.nats.nkey
    case 'natsUser':
      return masked.nats.user
    case 'natsPassword':
      return masked.nats.password
    case 'natsToken':
      return masked.nats.token
    case 'natsCa':
      return masked.nats.ca
    case 'natsCert':
      return masked.nats.cert
    case 'natsKey':
      return masked.nats.key
    case 'handlers':
      return masked.handlersFolder
    case 'schedules':
      return masked.schedulesFile
    default:
      return masked[name]
  }
}

function mask(secret: string | null): string | null {
  return secret === null ? null : hidden
}
