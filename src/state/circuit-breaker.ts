import { DurableObject } from 'cloudflare:workers'
import { hear, PROTOCOL, type Report, type Verdict } from '../upstream/circuit-report.ts'
import { CLOSED, type Circuit } from '../upstream/circuit.ts'

const KEY = 'circuit-v1'

/** Keeps one upstream's circuit for all isolates that send to it. Its methods return results and never throw. */
export class CircuitBreaker extends DurableObject {
  // Stored on transitions alone, so that a process that was killed comes back with an open circuit still open; what a closed
  // one has counted is worth less than a write for each report.
  #circuit: Circuit = this.ctx.storage.kv.get<Circuit>(KEY) ?? CLOSED

  /**
   * Takes an isolate's report and answers with the state of the circuit, and a lease if one was wanted and is free.
   * Undefined when it cannot say: the isolate then decides alone.
   */
  report(protocol: number, report: Report): Verdict | undefined {
    if (protocol !== PROTOCOL) return undefined
    try {
      const [next, verdict] = hear(this.#circuit, report, crypto.randomUUID(), Date.now())
      if (next !== this.#circuit && !(next.state === 'closed' && this.#circuit.state === 'closed')) {
        this.ctx.storage.kv.put(KEY, next)
      }
      this.#circuit = next
      return verdict
    } catch {
      return undefined
    }
  }
}
