import type { StoreFault } from '../../support/faults.ts'
import { startFaultyUpstash } from '../../support/faulty-upstash.ts'

export type StoreOrder =
  | { readonly kind: 'fault'; readonly fault: StoreFault | undefined }
  | { readonly kind: 'restart' }
  | { readonly kind: 'report' }

export interface StoreAnswer {
  readonly url: string
  readonly token: string
  readonly redisPid: number
  readonly asked: number
}

const store = await startFaultyUpstash()

function report(): void {
  const { url, token, redisPid, asked } = store
  process.send!({ url, token, redisPid: redisPid(), asked: asked() } satisfies StoreAnswer)
}

process.on('message', (order: StoreOrder) => {
  if (order.kind === 'fault') store.setFault(order.fault)
  if (order.kind === 'restart') store.restart().then(report, () => process.exit(1))
  else report()
})
// Whoever started this has gone.
process.on('disconnect', () => void store.stop().finally(() => process.exit()))
report()
