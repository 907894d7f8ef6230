import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'

const USAGE = `Usage: npm run first-admin -- --url URL [--username admin]

Creates the gateway's first user, with the role "admin" and a generated password, which it prints.
  --url       the route with "builtin": "bootstrap", such as https://api.example.com/admin/bootstrap
  --username  default admin
The variable UMBRAL_BOOTSTRAP_TOKEN holds the secret of the same name that the gateway has.`

try {
  await main()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

async function main(): Promise<void> {
  const { url, username } = readOptions()
  const token = process.env.UMBRAL_BOOTSTRAP_TOKEN
  if (!token) throw new Error('UMBRAL_BOOTSTRAP_TOKEN is not set: it is the secret of the gateway')
  // Generated, so that it is strong and not an argument, which other processes could read.
  const password = randomBytes(18).toString('base64url')
  const response = await fetch(url, {
    method: 'POST',
    // A redirect would send the token to another host.
    redirect: 'manual',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ username, password }),
  })
  const text = await response.text()
  if (response.status !== 201) throw new Error(`${url} answered ${response.status}: ${text.slice(0, 1_000)}`)
  console.log(`username: ${username}\npassword: ${password}`)
}

function readOptions(): { url: URL; username: string } {
  try {
    const options = { url: { type: 'string' }, username: { type: 'string', default: 'admin' } } as const
    const { url, username } = parseArgs({ options }).values
    if (url === undefined || !URL.canParse(url)) throw new Error('expected --url with the URL of the bootstrap route')
    const parsed = new URL(url)
    const isLoopback = /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(parsed.hostname)
    if (parsed.protocol !== 'https:' && !isLoopback)
      throw new Error('expected https: the token would be sent in clear text')
    return { url: parsed, username }
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    process.exit(2)
  }
}
