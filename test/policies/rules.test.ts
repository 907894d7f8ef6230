import { describe, expect, it } from 'vitest'
import { rules } from '../../src/policies/rules.ts'
import { askPolicy, policyDiagnostics } from '../support/policy.ts'

const JSON_ONLY = { require: { 'Content-Type': ['application/json', 'application/json;*'] } }

async function ask(config: object, headers: Record<string, string> = {}, path = '/', method = 'GET') {
  const request = new Request(`https://gw.test${path}`, { method, headers })
  return askPolicy(rules, config, { request })
}

describe('rules', () => {
  it.each<[config: object, headers: Record<string, string>, expected: string]>([
    [JSON_ONLY, { 'content-type': 'application/json' }, 'in'],
    [JSON_ONLY, { 'content-type': 'Application/JSON; charset=utf-8' }, 'in'],
    [JSON_ONLY, { 'content-type': 'application/jsonp' }, 'rule-refused'],
    [JSON_ONLY, { 'content-type': 'text/plain; application/json' }, 'rule-refused'],
    [JSON_ONLY, {}, 'rule-refused'],
    [{ require: { 'x-tenant': '*' } }, { 'x-tenant': 'acme' }, 'in'],
    [{ require: { 'x-tenant': '*' } }, { 'x-tenant': '' }, 'in'],
    [{ require: { 'x-tenant': '*' } }, {}, 'rule-refused'],
    [{ forbid: { 'x-debug': '*' } }, {}, 'in'],
    [{ forbid: { 'x-debug': '*' } }, { 'X-Debug': '' }, 'rule-refused'],
    [{ forbid: { 'user-agent': ['*sqlmap*', 'curl/*'] } }, { 'user-agent': 'SQLMap/1.0' }, 'rule-refused'],
    [{ forbid: { 'user-agent': ['*sqlmap*', 'curl/*'] } }, { 'user-agent': 'not curl/8' }, 'in'],
    // A header that is sent twice is one list, of which an origin may read either item.
    [{ forbid: { 'x-debug': '1' } }, { 'x-debug': '1, 1' }, 'rule-refused'],
    [{ forbid: { 'x-debug': '1' } }, { 'x-debug': '0,1' }, 'rule-refused'],
    [{ forbid: { 'x-debug': '1' } }, { 'x-debug': '0, 11' }, 'in'],
    [{ require: { 'x-version': ['1', '2'] } }, { 'x-version': '1, 3' }, 'rule-refused'],
    // Servers that map names to variables do not distinguish them.
    [{ forbid: { 'x-debug': '*' } }, { X_Debug: '1' }, 'rule-refused'],
    [{ forbid: { 'x-debug': '1' } }, { 'x-debug': '0', 'x.debug': '1' }, 'rule-refused'],
    [{ forbid: { x_debug: '*' } }, { 'x-debug': '1' }, 'in'],
    [{ require: { 'x-tenant': 'acme' } }, { x_tenant: 'acme' }, 'rule-refused'],
    [{ require: { 'x-tenant': 'acme' } }, { 'x-tenant': 'acme', x_tenant: 'evil' }, 'rule-refused'],
  ])('%j and the headers %j: %s', async (config, headers, expected) => {
    expect((await ask(config, headers)).code).toBe(expected)
  })

  it.each([
    ['/a/.git/config', 'rule-refused'],
    ['/a/.GIT', 'rule-refused'],
    ['/a/b.php', 'rule-refused'],
    ['/a/b.php/c', 'in'],
    ['/a/git', 'in'],
  ])('the path %s: %s', async (path, expected) => {
    expect((await ask({ forbidPaths: ['/*/.git*', '/*.php'] }, {}, path)).code).toBe(expected)
  })

  it.each([
    ['/a@b', '/a%40b', 'rule-refused'],
    ['/v1:*', '/v1%3Apurge', 'rule-refused'],
    ['/*.php', '/a%3B.php', 'rule-refused'],
    ['/a%20b', '/a%20b', 'rule-refused'],
    ['/*(*', '/a%28b', 'rule-refused'],
    ['/*/b', '/a%2Fb', 'rule-refused'],
    ['/a@b', '/a%2540b', 'in'],
  ])('a path that an origin reads as %s is refused as %s too: %s', async (pattern, path, expected) => {
    expect((await ask({ forbidPaths: [pattern] }, {}, path)).code).toBe(expected)
  })

  it('lets in the methods that it names, HEAD with GET, and says which these are', async () => {
    const config = { methods: ['GET', 'POST'] }
    expect((await ask(config, {}, '/', 'POST')).code).toBe('in')
    expect((await ask(config, {}, '/', 'HEAD')).code).toBe('in')
    const { code, response } = await ask(config, {}, '/', 'DELETE')
    expect([code, response.headers.get('allow')]).toEqual(['method-not-allowed', 'GET, HEAD, POST'])
  })

  it('says which header it missed, never what stands in one', async () => {
    const { response } = await ask({ require: { 'x-tenant': 'acme' } }, { 'x-tenant': 'evil' })
    const text = await response.text()
    expect(JSON.parse(text)).toMatchObject({ detail: 'The header x-tenant is not one of those that are allowed' })
    expect(text).not.toMatch(/acme|evil/)
  })

  it.each(['/*/.git*', '/.*', '/*.php', '/*..', '/a;*', '/caf%C3%A9/*', '/*'])('takes the pattern %s', (pattern) => {
    expect(policyDiagnostics(rules, { forbidPaths: [pattern] })).toEqual([])
  })

  it.each([
    [{ methods: ['GETT'] }, 'methods.0: did you mean "GET"?'],
    [{ methods: [] }, 'methods: '],
    [{ require: { 'a b': '*' } }, 'require.a b: '],
    [{ require: { a: '' } }, 'require.a: '],
    [{ require: { a: [] } }, 'require.a: '],
    [{ forbidPaths: ['*.php'] }, 'forbidPaths.0: '],
    [{ forbidPaths: ['/%7Eroot/*'] }, 'forbidPaths.0: no canonical path has this form; expected "/~root/*"'],
    [{ forbidPaths: ['/*//x'] }, 'expected "/*/x"'],
    [{ forbidPaths: ['/*/../*'] }, 'forbidPaths.0: '],
    [{ forbidPaths: ['/a b'] }, 'expected "/a%20b"'],
    [{ forbidPaths: ['/*\\*'] }, 'expected a pattern of valid paths'],
    [{ require: { a: 'b' }, forbid: { A: ['*'] } }, 'require.a: is forbidden too'],
  ])('refuses %j', (config, message) => {
    expect(policyDiagnostics(rules, config).join('\n')).toContain(message)
  })
})
