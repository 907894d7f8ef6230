import { componentKey, type Component } from './component.ts'
import { componentValue } from './component-value.ts'
import type { Message } from './message.ts'

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
