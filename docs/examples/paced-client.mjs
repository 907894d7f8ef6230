// Sends requests as fast as the RateLimit fields of the responses allow, so that none is refused.
// The fields are parsed as structured fields (RFC 9651): npm install structured-headers
//   node docs/examples/paced-client.mjs http://127.0.0.1:8787/products/1 20
import { argv } from 'node:process'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseList } from 'structured-headers'

/** The limits of a response: name, remaining requests (`r`), and seconds until there are more (`t`). */
export function readLimits(headers) {
  const items = parseList(headers.get('ratelimit') ?? '')
  return items.map(([name, parameters]) => ({ name, left: parameters.get('r'), seconds: parameters.get('t') }))
}

/** A fetch that first waits if the previous response reported no remaining requests. For one request at a time. */
export function makePacedFetch() {
  let seconds = 0
  return async (...request) => {
    await wait(seconds * 1000)
    const response = await fetch(...request)
    const exhausted = readLimits(response.headers).filter(({ left }) => left < 1)
    seconds = Math.max(0, Number(response.headers.get('retry-after')), ...exhausted.map((limit) => limit.seconds))
    return response
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const pacedFetch = makePacedFetch()
  for (let i = 0; i < Number(argv[3]); i++) {
    const { status, headers } = await pacedFetch(argv[2])
    console.log(new Date().toISOString(), status, headers.get('ratelimit'))
  }
}
