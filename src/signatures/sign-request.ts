import { serializeDictionary, serializeInnerList, type InnerList } from 'structured-headers'
import { signBase, type SignatureAlgorithm } from './algorithm.ts'
import { plainComponent } from './component.ts'
import { componentValue } from './component-value.ts'
import type { Message } from './message.ts'
import { signatureBase } from './signature-base.ts'

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
