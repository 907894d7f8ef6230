import { serializeDictionary, serializeInnerList, type InnerList } from 'structured-headers'
import { signBase, type SignatureAlgorithm } from './algorithm.ts'
import { componentKey, componentValue, plainComponent, type Component, type Message } from './component.ts'
const DEFAULT_PORT = { http: ':80', https: ':443' } as const

/** The `@authority` of a `Host` (RFC 9421 §2.2.3): lower case, without the default port of the scheme. */
export function normalAuthority(host: string, scheme: 'http' | 'https'): string {
  const lower = host.toLowerCase()
  const port = DEFAULT_PORT[scheme]
  return lower.endsWith(port) ? lower.slice(0, -port.length) : lower
}

/**
 * The text that is signed (RFC 9421 §2.5), `parameters` being the `@signature-params` as they stand in Signature-Input.
 * Undefined when a component is covered twice, or the message lacks it.
 */
export function signatureBase(
  components: readonly Component[],
  parameters: string,
  message: Message,
): string | undefined {
  if (new Set(components.map(componentKey)).size < components.length) return undefined
  const lines: string[] = []
  for (const component of components) {
    const value = componentValue(component, message)
    if (value === undefined) return undefined
    lines.push(`${component.id}: ${value}`)
  }
  lines.push(`"@signature-params": ${parameters}`)
  return lines.join('\n')
}

/** How requests are signed; times in whole seconds since the epoch. */
export interface SignatureSpec {
  readonly keyid: string
  readonly alg: SignatureAlgorithm
  readonly key: CryptoKey
  /** Without parameters; those that the message does not have are left out. */
  readonly components: readonly string[]
  readonly created: number
  readonly expires: number
  readonly nonce: string
}

/** The two fields that carry the signature of `message`, under the label `sig1` (RFC 9421 §4). */
export async function signMessage(
  message: Message,
  { keyid, alg, key, components, created, expires, nonce }: SignatureSpec,
): Promise<{ 'signature-input': string; signature: string }> {
  const covered = components.map(plainComponent).filter((component) => componentValue(component, message) !== undefined)
  const parameters: InnerList[1] = new Map<string, string | number>([
    ['created', created],
    ['expires', expires],
    ['nonce', nonce],
    ['keyid', keyid],
    ['alg', alg],
  ])
  const list: InnerList = [covered.map(({ name }) => [name, new Map()]), parameters]
  const base = signatureBase(covered, serializeInnerList(list), message)!
  return {
    'signature-input': serializeDictionary({ sig1: list }),
    signature: serializeDictionary({ sig1: await signBase(alg, key, base) }),
  }
}
