import { startUpstash } from './server.ts'

const port = Number(process.argv[2] ?? 0)
const upstash = await startUpstash({ port })
console.log(`UPSTASH_REDIS_REST_URL=${upstash.url}`)
console.log(`UPSTASH_REDIS_REST_TOKEN=${upstash.token}`)
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void upstash.stop().then(() => process.exit()))
