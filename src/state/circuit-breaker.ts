import { DurableObject } from 'cloudflare:workers'

export class CircuitBreaker extends DurableObject {}
