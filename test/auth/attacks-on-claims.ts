import { claiming, claims, HEADER, now, payloadWith, raw, type Attack } from './forgery.ts'
import { ISSUER } from './issuer.ts'

/** One attack for each value of a claim. */
const values = (claim: string, code: string, ...odd: unknown[]): Attack[] =>
  odd.map((value) => [`${claim} ${JSON.stringify(value)}`, code, () => claiming({ [claim]: value })])
/** The same with values that only JSON text can have. */
const texts = (claim: string, code: string, ...odd: string[]): Attack[] =>
  odd.map((text) => [`${claim} ${text}, as text`, code, () => payloadWith(`"${claim}":${text}`, claim)])

const TIMES: Attack[] = [
  ...values(
    'exp',
    'token-claims',
    String(now + 600),
    `${now + 600}.5`,
    '9e99',
    [now + 600],
    { exp: now + 600 },
    true,
    undefined,
  ),
  ...texts('exp', 'token-claims', '1e400', '1e300', '1e17', 'null'),
  ...values('exp', 'token-expired', -1, 0, now - 60.5, 86_400_000, -1e15),
  ...texts('exp', 'token-expired', '-1e400'),
  ...texts('nbf', 'token-not-yet-valid', '1e400', '1e300'),
  ...texts('nbf', 'token-claims', '-1e400', 'null', '"0"', '[]', 'true'),
  ...values('nbf', 'token-not-yet-valid', now + 60.5, now * 1000),
  ...values('iat', 'token-claims', 'now', String(now), [now], true),
  ...texts('iat', 'token-claims', '1e400', '-1e400', 'null'),
]

const NAMES: Attack[] = [
  ...values(
    'aud',
    'token-audience',
    'api.evil',
    'ap',
    'apis',
    'xapi',
    'API',
    ' api',
    'api ',
    'api,api',
    'api\0',
    'ａpi',
    '',
  ),
  ...values(
    'aud',
    'token-audience',
    ['apis', 'xapi'],
    [['api']],
    { includes: 'api' },
    { 0: 'api', length: 1 },
    [],
    [null],
  ),
  ...values('aud', 'token-claims', undefined),
  ...values('aud', 'token-audience', null, true, 0),
  ...values(
    'iss',
    'token-issuer',
    ISSUER.slice(0, -1),
    `${ISSUER}/`,
    `${ISSUER}#`,
    `${ISSUER}?`,
    ` ${ISSUER}`,
    ISSUER.toUpperCase(),
    ISSUER.replace('https', 'http'),
    ISSUER.replace('id.test', 'id.test.'),
    ISSUER.replace('id.test', 'id.test@evil.test'),
    ISSUER.replace('id.test', 'id.test:443'),
    ISSUER.replace('id', 'іd'),
    `${ISSUER}../`,
    'old\0',
    '',
  ),
  ...values('iss', 'token-claims', [ISSUER], { toString: ISSUER }, null, 0, undefined),
  ['iss through __proto__', 'token-claims', () => raw(HEADER, `{"__proto__":${JSON.stringify(claims)}}`)],
  ...values('sub', 'token-claims', { toString: 'ada' }, ['ada'], 7, null, true),
]

const RIGHTS: Attack[] = [
  ...values(
    'scope',
    'scope-missing',
    'users:read:none users',
    'users:readonly',
    'xusers:read',
    'users:rea',
    'users',
    'users:*',
    '*',
    'USERS:READ',
    'users:read,users:write',
    'users:read\tx',
    'users:read\n',
    'users:read\u00a0x',
    '"users:read"',
    '',
  ),
  ...values(
    'scope',
    'scope-missing',
    [['users:read']],
    ['users:read x'],
    { 0: 'users:read' },
    { includes: 'users:read' },
    true,
    1,
    null,
    undefined,
  ),
  ...values(
    'tenant',
    'claim-mismatch',
    'acme ',
    'ACME',
    'acm',
    'acme\0',
    ['acmee'],
    [['acme']],
    { value: 'acme' },
    true,
    0,
    null,
    undefined,
  ),
  [
    'a claim through __proto__',
    'claim-mismatch',
    () =>
      raw(HEADER, JSON.stringify({ ...claims, tenant: undefined }).replace(/\}$/, ',"__proto__":{"tenant":"acme"}}')),
  ],
  [
    'a claim through constructor',
    'claim-mismatch',
    () => claiming({ tenant: undefined, constructor: { prototype: { tenant: 'acme' } } }),
  ],
  ...[
    `"exp":${claims.exp + 60}`,
    '"sub":"eve"',
    '"\\u0073ub":"eve"',
    '"x":{"role":"user","role":"admin"}',
    '"x":[1,{"a":{"b":0},"a":{"b":1}}]',
    '"__proto__":1,"__proto__":2',
  ].map((members): Attack => [`a name twice: ${members}`, 'token-malformed', () => payloadWith(members)]),
  ...[4_000, 10_000].map((depth): Attack => [
    `claims ${depth} deep`,
    'token-malformed',
    () => payloadWith(`"x":${'['.repeat(depth)}${']'.repeat(depth)}`),
  ]),
]

/** Rightly signed, and still not to be let in. */
export const CLAIM_ATTACKS = [...TIMES, ...NAMES, ...RIGHTS]
