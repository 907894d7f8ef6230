/** Where Durable Objects can be placed, and `local` where the platform does not tell where a request came in. */
export type Region = DurableObjectLocationHint | 'local'

/** Where one half of a continent ends and the other begins, in degrees east. */
const AMERICAN_MIDDLE = -100
const EUROPEAN_MIDDLE = 15
const ASIAN_MIDDLE = 60

/** The location hint that is nearest to whoever sent this request, by Cloudflare's `request.cf`. */
export function regionOf({ cf }: Pick<Request, 'cf'>): Region {
  // Absent: not less than anything, so the eastern half.
  const longitude = Number(cf?.longitude ?? NaN)
  switch (cf?.continent) {
    case 'NA':
      return longitude < AMERICAN_MIDDLE ? 'wnam' : 'enam'
    case 'SA':
      return 'sam'
    case 'EU':
      return longitude >= EUROPEAN_MIDDLE ? 'eeur' : 'weur'
    case 'AS':
      return longitude < ASIAN_MIDDLE ? 'me' : 'apac'
    case 'AF':
      return 'afr'
    case 'OC':
    case 'AN':
      return 'oc'
    default:
      return 'local'
  }
}

/** The name of the object that keeps an upstream's circuit in one region. */
export function breakerName(region: Region, upstream: string): string {
  return `${region}:${upstream}`
}

/** Where that object is made when it is first named. */
export function locationOf(region: Region): DurableObjectNamespaceGetDurableObjectOptions | undefined {
  return region === 'local' ? undefined : { locationHint: region }
}
