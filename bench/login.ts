import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { positive } from './arguments.ts'
import { needProgram, PINNED, pinThisProcess } from './load.ts'
import { measureTiming } from './login-timing.ts'
import { startLoginGateway } from './login-gateway.ts'
import { measureFlood } from './login-flood.ts'
import { printFigures, type Figure } from './statistics.ts'

/**
 * `npm run bench:login -- [--part timing] [--rounds 9] [--logins 30] [--seconds 2] [--flood 100]`: the duration of a login, whether it differs between
 * an unknown username and a wrong password, and the effect of a flood of logins on other routes. `--logins`: logins of each kind in a round;
 * `--seconds`: the duration of a round of load; `--flood`: logins a second meanwhile.
 */
const PARTS = ['timing', 'flood', 'wide-flood'] as const
/** Enough that the route's limit refuses no login in a whole run. */
const NETWORKS = 20_000

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      part: { type: 'string', multiple: true, default: [...PARTS] },
      rounds: { type: 'string', default: '9' },
      logins: { type: 'string', default: '30' },
      seconds: { type: 'string', default: '2' },
      flood: { type: 'string', default: '100' },
    },
  })
  const unknown = values.part.find((part) => !PARTS.some((name) => name === part))
  if (unknown !== undefined) throw new Error(`--part: expected one of ${PARTS.join(', ')}, found ${unknown}`)
  const rounds = positive('--rounds', values.rounds)
  const logins = positive('--logins', values.logins)
  const seconds = positive('--seconds', values.seconds)
  const flood = positive('--flood', values.flood)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  if (values.part.some((part) => part.endsWith('flood'))) needProgram('wrk')
  pinThisProcess()
  console.log(
    `Node ${process.version}, ${availableParallelism()} cores, gateway and load ${PINNED ? 'on a core each' : 'not pinned'}`,
  )
  const gateway = await startLoginGateway(values.part.includes('timing') ? undefined : 0)
  const measures: Readonly<Record<(typeof PARTS)[number], readonly [title: string, measure: () => Promise<Figure[]>]>> =
    {
      timing: ['POST /token, one at a time', () => measureTiming(gateway, rounds, logins)],
      flood: [
        `Another route while ${flood} logins a second are sent from one network`,
        () => measureFlood(gateway, rounds, seconds, flood, 1),
      ],
      'wide-flood': [
        `Another route while ${flood} logins a second are sent from ${NETWORKS} networks`,
        () => measureFlood(gateway, rounds, seconds, flood, NETWORKS),
      ],
    }
  try {
    for (const part of PARTS.filter((name) => values.part.includes(name))) {
      const [title, measure] = measures[part]
      printFigures(title, await measure())
    }
  } finally {
    await gateway.stop()
  }
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
