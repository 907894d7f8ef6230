import { serializeInnerList, type BareItem, type Dictionary, type InnerList } from 'structured-headers'
import { parseComponent, type Component } from './component.ts'
import { parseStrictDictionary } from './structured-field.ts'

/** One signature of a message, parsed and not yet verified (RFC 9421 §4). Times in whole seconds since the epoch. */
export interface ClaimedSignature {
  readonly components: readonly Component[]
  /** The `@signature-params` line's value: the covered components and parameters, as they were sent. */
  readonly parameters: string
  readonly keyid: string
  readonly created: number | undefined
  readonly expires: number | undefined
  readonly nonce: string | undefined
  readonly alg: string | undefined
  readonly signature: Uint8Array<ArrayBuffer>
}

const MAX_SIGNATURES = 8
const MAX_COMPONENTS = 32
const MAX_TEXT = 256

/**
 * The first signature whose key `isKnown`, in the order of Signature-Input: others may be meant for another hop.
 * `malformed` unless both fields are canonical dictionaries of the same labels, and that signature has nothing unknown or
 * contradictory in it.
 */
export function findSignature(
  input: string,
  signature: string,
  isKnown: (keyid: string) => boolean,
): ClaimedSignature | 'malformed' | 'unknown' {
  const inputs = parseStrictDictionary(input)
  const signatures = parseStrictDictionary(signature)
  if (inputs === undefined || signatures === undefined || !haveSameLabels(inputs, signatures)) return 'malformed'
  for (const [label, member] of inputs) {
    const keyid = member[1].get('keyid')
    if (typeof keyid !== 'string' || !isKnown(keyid)) continue
    return parseClaim(member, signatures.get(label)![0], keyid) ?? 'malformed'
  }
  return 'unknown'
}

function haveSameLabels(inputs: Dictionary, signatures: Dictionary): boolean {
  const same = inputs.size === signatures.size && [...inputs.keys()].every((label) => signatures.has(label))
  return same && inputs.size > 0 && inputs.size <= MAX_SIGNATURES
}

function parseClaim(
  [items, parameters]: Dictionary extends Map<string, infer Member> ? Member : never,
  signature: unknown,
  keyid: string,
): ClaimedSignature | undefined {
  if (!Array.isArray(items) || items.length > MAX_COMPONENTS || !(signature instanceof ArrayBuffer)) return undefined
  const components = items.map(parseComponent)
  if (!components.every((component) => component !== undefined)) return undefined
  for (const [key, value] of parameters) if (!isParameter(key, value)) return undefined
  const list: InnerList = [items, parameters]
  return {
    components,
    parameters: serializeInnerList(list),
    keyid,
    created: parameters.get('created') as number | undefined,
    expires: parameters.get('expires') as number | undefined,
    nonce: parameters.get('nonce') as string | undefined,
    alg: parameters.get('alg') as string | undefined,
    signature: new Uint8Array(signature),
  }
}

/** The parameters of RFC 9421 §2.3. The meaning of any other one is unknown, so a signature with one is refused. */
function isParameter(key: string, value: BareItem): boolean {
  switch (key) {
    case 'created':
    case 'expires':
      return Number.isSafeInteger(value) && (value as number) >= 0
    case 'keyid':
    case 'nonce':
    case 'alg':
    case 'tag':
      return typeof value === 'string' && value.length > 0 && value.length <= MAX_TEXT
    default:
      return false
  }
}
