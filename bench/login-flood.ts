import { cpuUs, load, type Load } from './load.ts'
import type { LoginGateway } from './login-gateway.ts'
import { atMost, spread, type Figure } from './statistics.ts'

/** Measures latency percentiles of a route with an origin, without and with a flood of logins in turn. Each round's flood is compared with its own idle phase. */
export async function measureFlood(
  gateway: LoginGateway,
  rounds: number,
  seconds: number,
  perSecond: number,
  networks: number,
): Promise<Figure[]> {
  const found = { 32: [] as Round[], 4: [] as Round[] }
  await measure(gateway, 32, seconds)
  for (let round = 1; round <= rounds; round++) {
    process.stderr.write(`round ${round} of ${rounds}\n`)
    for (const connections of [32, 4] as const) {
      const idle = await measure(gateway, connections, seconds)
      const flood = startFlood(gateway, perSecond, networks)
      const busy = await measure(gateway, connections, seconds).finally(() => void flood.stop())
      found[connections].push({ idle, busy, ...(await flood.stop()) })
    }
  }
  return ([32, 4] as const).flatMap((connections) => figuresOf(connections, found[connections], seconds))
}

interface Measured extends Load {
  readonly cpu: number
}

interface Round {
  readonly idle: Measured
  readonly busy: Measured
  /** Logins with a decision, and logins refused because all slots were reserved or the route's limit was reached. */
  readonly decided: number
  readonly refused: number
}

function figuresOf(connections: number, rounds: readonly Round[], seconds: number): Figure[] {
  const over = (read: (round: Round) => number) => spread(rounds.map(read))
  const at = (name: string) => `${name}, ${connections} connections`
  return [
    { name: at('p99 idle'), value: over(({ idle }) => idle.p99Us / 1_000), unit: 'ms' },
    { name: at('p99 in the flood'), value: over(({ busy }) => busy.p99Us / 1_000), unit: 'ms' },
    {
      name: at('ratio of the two'),
      value: over(({ idle, busy }) => busy.p99Us / idle.p99Us),
      unit: '×',
      target: atMost(2, ' ×'),
    },
    { name: at('requests/s idle'), value: over(({ idle }) => idle.perSecond), unit: '' },
    { name: at('requests/s in the flood'), value: over(({ busy }) => busy.perSecond), unit: '' },
    { name: at('logins decided a second'), value: over(({ decided }) => decided / seconds), unit: '' },
    { name: at('logins refused a second'), value: over(({ refused }) => refused / seconds), unit: '' },
  ]
}

async function measure({ url, pid }: LoginGateway, connections: number, seconds: number): Promise<Measured> {
  const before = cpuUs(pid)
  const result = await load({ url: `${url}/users/42`, headers: {}, connections, seconds })
  return { ...result, cpu: (cpuUs(pid) - before) / (seconds * 1_000_000) }
}

/** Logins with unknown usernames, each used once, so that the guard neither locks nor delays any. */
function startFlood({ logIn }: LoginGateway, perSecond: number, networks: number) {
  const startedAt = performance.now()
  let [sent, decided, refused, open] = [0, 0, 0, 0]
  let failure: unknown
  const one = async (nth: number) => {
    open++
    try {
      const response = await logIn(`nobody-${process.hrtime.bigint()}`, 'wrong', networkOf(nth % networks))
      await response.text()
      if (response.status === 401) decided++
      else if (response.status === 503 || response.status === 429) refused++
      else failure = new Error(`a login got the status ${response.status}`)
    } catch (error) {
      failure = error
    } finally {
      open--
    }
  }
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) / 1_000) * perSecond
    while (sent < due) void one(sent++)
  }, 5)
  return {
    stop: async () => {
      clearInterval(timer)
      while (open > 0) await new Promise((resolve) => setTimeout(resolve, 10))
      if (failure !== undefined) throw failure
      return { decided, refused }
    },
  }
}

const networkOf = (nth: number): string => `10.${nth >> 8}.${nth & 255}`
