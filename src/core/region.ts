/** A location hint of Durable Objects; `local` where the platform does not state where a request came in. */
export type Region = DurableObjectLocationHint | 'local'

/** The longitudes that divide a continent into two hints, in degrees east. */
const AMERICAN_MIDDLE = -100
const EUROPEAN_MIDDLE = 15
const ASIAN_MIDDLE = 60

/** The location hint nearest to the sender of a request, by Cloudflare's `request.cf`. */
export function regionOf({ cf }: Pick<Request, 'cf'>): Region {
  // When it is absent, each comparison with NaN is false.
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

/** The name of the object that holds the breaker of an upstream in one region. */
export function breakerName(region: Region, upstream: string): string {
  return `${region}:${upstream}`
}

/** Where an object of this region is created at its first use. */
export function locationOf(region: Region): DurableObjectNamespaceGetDurableObjectOptions | undefined {
  return region === 'local' ? undefined : { locationHint: region }
}
