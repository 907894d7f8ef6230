import { describe, expect, it } from 'vitest'
import { bot } from '../../src/policies/bot.ts'
import { askPolicy, policyDiagnostics } from '../support/policy.ts'

async function judged(config: object, said: object | undefined): Promise<string> {
  const cf = said === undefined ? {} : { botManagement: said }
  const request = new Request('https://gw.test/', { cf: cf as unknown as RequestInitCfProperties })
  return (await askPolicy(bot, config, { request })).code
}

describe('bot', () => {
  it.each<[config: object, said: object | undefined, expected: string]>([
    [{}, { score: 30 }, 'in'],
    [{}, { score: 29 }, 'bot-refused'],
    [{ minScore: 2 }, { score: 2 }, 'in'],
    [{}, { score: 1, verifiedBot: true }, 'in'],
    [{ verified: 'deny' }, { score: 1, verifiedBot: true }, 'bot-refused'],
    [{ verified: 'deny' }, { score: 99, verifiedBot: true }, 'bot-refused'],
    [{}, { score: 1, verifiedBot: false }, 'bot-refused'],
    [{}, { score: 1, verifiedBot: 'true' }, 'bot-refused'],
    // Nothing is said: no Bot Management here, or no score for this request.
    [{}, undefined, 'bot-refused'],
    [{}, {}, 'bot-refused'],
    [{}, { score: 0 }, 'bot-refused'],
    [{}, { score: '99' }, 'bot-refused'],
    [{ onUnknown: 'allow' }, undefined, 'in'],
    [{ onUnknown: 'allow' }, { score: 0 }, 'in'],
    [{ onUnknown: 'allow' }, { score: 1 }, 'bot-refused'],
  ])('%j, when the platform says %j: %s', async (config, said, expected) => {
    expect(await judged(config, said)).toBe(expected)
  })

  it.each([
    [{ minScore: 0 }, 'minScore: '],
    [{ minScore: 100 }, 'minScore: '],
    [{ onUnknown: 'ask' }, 'onUnknown: '],
  ])('refuses %j', (config, message) => {
    expect(policyDiagnostics(bot, config)).toEqual([expect.stringContaining(message)])
  })
})
