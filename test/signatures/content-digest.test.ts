import { expect, it } from 'vitest'
import { contentDigest, matchesContentDigest } from '../../src/signatures/content-digest.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
/** RFC 9530 Appendix B and RFC 9421 Appendix B.2. */
const SHA256 = 'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:'
const SHA512 = 'sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:'

it('makes the digest of RFC 9530', async () => {
  expect(await contentDigest(bytes('{"hello": "world"}\n'))).toBe(SHA256)
})

it.each([
  ['{"hello": "world"}\n', SHA256, true],
  ['{"hello": "world"}', SHA512, true],
  ['{"hello": "world"}\n', SHA512, false],
  ['', 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:', true],
  ['{"hello": "world"}\n', `${SHA256}, md5=:AA==:`, true],
  ['{"hello": "world"}\n', `${SHA256}, ${SHA512}`, false],
  ['{"hello": "world"}\n', 'md5=:AA==:', false],
  ['{"hello": "world"}\n', `${SHA256}, ${SHA256}`, false],
  ['{"hello": "world"}\n', SHA256.replace('Dg=', 'Dh='), false],
  ['{"hello": "world"}\n', 'sha-256="RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="', false],
  ['{"hello": "world"}\n', 'sha-256=:RK8=:', false],
  ['{"hello": "world"}\n', 'sha-256', false],
  ['{"hello": "world"}\n', '', false],
])('of %j: %s → %s', async (body, field, verdict) => {
  expect(await matchesContentDigest(field, bytes(body))).toBe(verdict)
})
