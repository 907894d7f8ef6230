import { DurableObject } from 'cloudflare:workers'

export class LimitShard extends DurableObject {}
