import { PASSWORD, type LoginGateway } from './login-gateway.ts'
import { single, spread, type Figure } from './statistics.ts'

/** Failed logins of one username in a run: a login after more than ten is delayed. */
const TRIES = 9

/** Compares the durations of logins with an unknown username and with a wrong password, in interleaved rounds of `logins` each, and measures right ones. */
export async function measureTiming(gateway: LoginGateway, rounds: number, logins: number): Promise<Figure[]> {
  const { users } = gateway
  if (rounds * logins > users.length * TRIES)
    throw new Error(
      `--rounds times --logins: at most ${users.length * TRIES} of each kind, or their failures delay them`,
    )
  const responses = { user: new Set<string>(), password: new Set<string>() }
  const means = { user: [] as number[], password: [] as number[], right: [] as number[] }
  await timed(gateway, 'root', PASSWORD, '10.0.0')
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`)
    const times = { user: [] as number[], password: [] as number[], right: [] as number[] }
    for (let i = 0; i < logins; i++) {
      const nth = round * logins + i
      const known = users[nth % users.length]!
      const kinds = [
        ['user', known.replace('known', 'unkno'), 'wrong'],
        ['password', known, 'wrong'],
        ['right', 'root', PASSWORD],
      ] as const
      // Each kind is first, second and last equally often, so that the preceding login does not bias the result.
      for (let k = 0; k < kinds.length; k++) {
        const [kind, username, password] = kinds[(nth + (nth % 2 === 0 ? k : kinds.length - k)) % kinds.length]!
        const { ms, text } = await timed(gateway, username, password, `10.${kind.length}.${nth % 250}`)
        times[kind].push(ms)
        if (kind !== 'right') responses[kind].add(text)
      }
    }
    for (const kind of ['user', 'password', 'right'] as const) means[kind].push(mean(times[kind]))
  }
  const texts = new Set([...responses.user, ...responses.password])
  const differences = means.user.map((user, i) => 100 * (user / means.password[i]! - 1))
  return [
    { name: 'mean of an unknown username', value: around(means.user), unit: 'ms' },
    { name: 'mean of a wrong password', value: around(means.password), unit: 'ms' },
    {
      name: 'difference of the two',
      value: { ...around(differences), median: 100 * (mean(means.user) / mean(means.password) - 1) },
      unit: '%',
      target: { text: 'within ± 5 %', isMet: (value) => Math.abs(value) <= 5 },
      note: `over ${rounds * logins} of each`,
    },
    {
      name: 'different responses to the two',
      value: single(texts.size),
      unit: '',
      target: { text: '1', isMet: (value) => value === 1 },
    },
    { name: 'mean of a right one', value: around(means.right), unit: 'ms' },
  ]
}

async function timed({ logIn }: LoginGateway, username: string, password: string, network: string) {
  const startedAt = performance.now()
  const response = await logIn(username, password, network)
  const text = await response.text()
  const ms = performance.now() - startedAt
  const wanted = password === PASSWORD ? 200 : 401
  if (response.status !== wanted) throw new Error(`expected ${wanted}, found ${response.status}: ${text}`)
  return { ms, text: `${response.status} ${response.headers.get('www-authenticate')} ${text}` }
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

/** The mean of all rounds, with the least and the greatest of one round. */
const around = (values: readonly number[]) => ({ ...spread(values), median: mean(values) })
