import { Hono } from 'hono'

export { CircuitBreaker } from './state/circuit-breaker.ts'
export { LimitShard } from './state/limit-shard.ts'

const app = new Hono()
app.all('*', (c) => c.text('Umbral'))

export default app
