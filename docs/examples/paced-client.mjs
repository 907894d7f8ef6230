// Asks as fast as the RateLimit fields of the answers allow, and no faster, so that it is never refused.
// The fields are read by a parser of structured fields (RFC 9651): npm install structured-headers
//   node docs/examples/paced-client.mjs http://127.0.0.1:8787/products/1 20
import { argv } from 'node:process'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseList } from 'structured-headers'

/** What each limit of an answer leaves: its name, how many requests (`r`), and the seconds until there are more (`t`). */
export function readLimits(headers) {
  const items = parseList(headers.get('ratelimit') ?? '')
  return items.map(([name, parameters]) => ({ name, left: parameters.get('r'), seconds: parameters.get('t') }))
}

/** A fetch that waits first, when the answer before has said that nothing is left. For one request at a time. */
export function makePacedFetch() {
  let seconds = 0
  return async (...request) => {
    await wait(seconds * 1000)
    const response = await fetch(...request)
    const usedUp = readLimits(response.headers).filter(({ left }) => left < 1)
    seconds = Math.max(0, Number(response.headers.get('retry-after')), ...usedUp.map((limit) => limit.seconds))
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
