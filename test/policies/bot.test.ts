import { describe, expect, it } from 'vitest'
import { bot } from '../../src/policies/bot.ts'
import { askPolicy, policyDiagnostics } from '../support/policy.ts'

async function decide(config: object, management: object | undefined): Promise<string> {
  const cf = management === undefined ? {} : { botManagement: management }
  const request = new Request('https://gw.test/', { cf: cf as unknown as RequestInitCfProperties })
  return (await askPolicy(bot, config, { request })).code
}

describe('bot', () => {
  it.each<[config: object, management: object | undefined, expected: string]>([
    [{}, { score: 30 }, 'in'],
    [{}, { score: 29 }, 'bot-refused'],
    [{ minScore: 2 }, { score: 2 }, 'in'],
    [{}, { score: 1, verifiedBot: true }, 'in'],
    [{ verified: 'deny' }, { score: 1, verifiedBot: true }, 'bot-refused'],
    [{ verified: 'deny' }, { score: 99, verifiedBot: true }, 'bot-refused'],
    [{}, { score: 1, verifiedBot: false }, 'bot-refused'],
    [{}, { score: 1, verifiedBot: 'true' }, 'bot-refused'],
    // No score: no Bot Management, or none for this request.
    [{}, undefined, 'bot-refused'],
    [{}, {}, 'bot-refused'],
    [{}, { score: 0 }, 'bot-refused'],
    [{}, { score: '99' }, 'bot-refused'],
    [{ onUnknown: 'allow' }, undefined, 'in'],
    [{ onUnknown: 'allow' }, { score: 0 }, 'in'],
    [{ onUnknown: 'allow' }, { score: 1 }, 'bot-refused'],
  ])('%j, when the platform says %j: %s', async (config, management, expected) => {
    expect(await decide(config, management)).toBe(expected)
  })

  it.each([
    [{ minScore: 0 }, 'minScore: '],
    [{ minScore: 100 }, 'minScore: '],
    [{ onUnknown: 'ask' }, 'onUnknown: '],
  ])('refuses %j', (config, message) => {
    expect(policyDiagnostics(bot, config)).toEqual([expect.stringContaining(message)])
  })
})
