const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const MONTH = `(${MONTHS.join('|')})`
const DAY = '(?:mon|tue|wed|thu|fri|sat|sun)'
const LONG_DAY = '(?:mon|tues|wednes|thurs|fri|satur|sun)day'
const TIME = String.raw`(\d\d):(\d\d):(\d\d)`

/** `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. */
const IMF_FIXDATE = new RegExp(String.raw`^${DAY}, (\d\d) ${MONTH} (\d{4}) ${TIME} gmt$`, 'i')
const RFC850_DATE = new RegExp(String.raw`^${LONG_DAY}, (\d\d)-${MONTH}-(\d\d) ${TIME} gmt$`, 'i')
const ASCTIME_DATE = new RegExp(String.raw`^${DAY} ${MONTH} ([ \d]\d) ${TIME} (\d{4})$`, 'i')

/**
 * Epoch milliseconds of an HTTP-date in any of its three forms (RFC 9110 §5.6.7), in any case and in GMT alone (RFC 9111 §4.2);
 * undefined for anything else. `now`, epoch milliseconds, decides the century of a year of two digits. `Date.parse` would also accept
 * `0`, `1 day` and local times, none of which is an HTTP-date.
 */
export function parseHttpDate(text: string, now: number): number | undefined {
  const imf = IMF_FIXDATE.exec(text)
  if (imf !== null) return toTime(Number(imf[3]), imf[2]!, imf[1]!, imf[4]!, imf[5]!, imf[6]!)
  const asctime = ASCTIME_DATE.exec(text)
  if (asctime !== null)
    return toTime(Number(asctime[6]), asctime[1]!, asctime[2]!, asctime[3]!, asctime[4]!, asctime[5]!)
  const rfc850 = RFC850_DATE.exec(text)
  if (rfc850 === null) return undefined
  const [, day, month, year, hour, minute, second] = rfc850
  return toTime(fullYear(Number(year), now), month!, day!, hour!, minute!, second!)
}

/** A year that appears to be more than 50 years ahead is the most recent past year with these digits (RFC 9110 §5.6.7). */
function fullYear(twoDigits: number, now: number): number {
  const thisYear = new Date(now).getUTCFullYear()
  const year = thisYear - (thisYear % 100) + twoDigits
  if (year > thisYear + 50) return year - 100
  // Late in a century, years of the next century are nearer.
  return year + 100 <= thisYear + 50 ? year + 100 : year
}

function toTime(
  year: number,
  monthName: string,
  day: string,
  hour: string,
  minute: string,
  second: string,
): number | undefined {
  const month = MONTHS.indexOf(monthName.toLowerCase())
  const date = new Date(0)
  // Date.UTC would take the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(year, month, Number(day))
  const isDay = date.getUTCMonth() === month && Number(day) > 0
  // The grammar allows a leap second. It counts as the second before it.
  if (!isDay || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined
  return date.setUTCHours(Number(hour), Number(minute), Math.min(Number(second), 59))
}
