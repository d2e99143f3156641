// Owns how a moment of wall time is told where no clock or calendar of the machine may be asked.
// Must not know timezones: it is UTC, as in all lines.

const dayMs = 86_400_000
/** Days of the 400 years after which the calendar repeats itself, and from the first of March of the year 0 to 1970. */
const eraDays = 146_097
const epochDays = 719_468

function two(number: number, digits = 2): string {
  return String(number).padStart(digits, '0')
}

/** Year, month and day of a day since 1970. Years begin with March here, so that the leap day is their last. */
function dateText(day: number): string {
  const days = day + epochDays
  const era = Math.floor(days / eraDays)
  const ofEra = days - era * eraDays
  const year = Math.floor((ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365)
  const ofYear = ofEra - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const march = Math.floor((5 * ofYear + 2) / 153)
  const month = march < 10 ? march + 3 : march - 9
  return `${two(era * 400 + year + (month <= 2 ? 1 : 0), 4)}-${two(month)}-${two(ofYear - Math.floor((153 * march + 2) / 5) + 1)}`
}

/** `2026-11-27 13:08:00`, and with milliseconds where there are some. */
export function momentOf(atMs: number): string {
  const day = Math.floor(atMs / dayMs)
  const ms = Math.floor(atMs - day * dayMs)
  const time = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1000) % 60].map(part => two(part)).join(':')
  return `${dateText(day)} ${time}${ms % 1000 === 0 ? '' : `.${two(ms % 1000, 3)}`}`
}
