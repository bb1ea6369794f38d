/**
 * Reads an RFC 3339 instant as epoch milliseconds; NaN when it is none.
 *
 * `Date.parse` alone takes many other forms, some of them in local time, and 30 February for 2 March. An instant
 * outside the years 0 to 9999 of UTC is none either: it could not be written down as RFC 3339 again.
 * Source: RFC 3339, section 5.6 and 5.7; a leap second, which no clock here can show, is refused.
 */
export function parseInstant(text: string): number {
  const parts = form.exec(text)
  if (!parts) return Number.NaN
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number) as Fields
  const [offsetHour, offsetMinute] = [Number(parts[9] ?? 0), Number(parts[10] ?? 0)]
  if (hour > 23 || minute > 59 || second > 59 || offsetHour > 23 || offsetMinute > 59) return Number.NaN
  const date = new Date(0)
  // Unlike Date.UTC, this takes the years before 100 as they are.
  date.setUTCFullYear(year, month - 1, day)
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return Number.NaN
  date.setUTCHours(hour, minute, second, Number(`${parts[7] ?? ''}000`.slice(0, 3)))
  const sign = parts[8] === '-' ? 1 : -1
  const at = date.getTime() + sign * (offsetHour * 60 + offsetMinute) * 60_000
  return at >= earliest && at <= latest ? at : Number.NaN
}

type Fields = [number, number, number, number, number, number]

const form = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/
const earliest = Date.parse('0000-01-01T00:00:00Z')
const latest = Date.parse('9999-12-31T23:59:59.999Z')
