import type { ServerResponse } from 'node:http'

const redisError = (error: string) => answer(400, 'application/json', JSON.stringify({ error }))
const result = (value: unknown) => answer(200, 'application/json', JSON.stringify({ result: value }))
const page = '<!doctype html><title>Bad gateway</title>'

/** What a store that is ill has been seen to answer, or might. */
export const FAULTS = {
  NOSCRIPT: redisError('NOSCRIPT No matching script. Please use EVAL.'),
  LOADING: redisError('LOADING Redis is loading the dataset in memory'),
  READONLY: redisError("READONLY You can't write against a read only replica."),
  OOM: redisError("OOM command not allowed when used memory > 'maxmemory'."),
  BUSY: redisError('BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.'),
  'error in a 200': answer(200, 'application/json', JSON.stringify({ error: 'LOADING' })),
  'a 401': answer(401, 'application/json', JSON.stringify({ error: 'WRONGPASS invalid or missing auth token' })),
  'a 429': answer(429, 'application/json', JSON.stringify({ error: 'ERR max daily request limit exceeded' })),
  'a 500': answer(500, 'application/json', '{}'),
  'HTML in a 200': answer(200, 'text/html', page),
  'HTML in a 502': answer(502, 'text/html', page),
  'an empty 200': answer(200, 'application/json', ''),
  'null for a result': result(null),
  'OK for a result': result('OK'),
  'too few numbers': result([1, 9]),
  'text among the numbers': result([1, 9, 1_000, 'x', 0]),
  'more than was asked for': result([1_000_000, 9, 1_000, 1_000, 0]),
  'less than nothing': result([-1, 9, 1_000, 1_000, 0]),
  'half an answer': (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '60' })
    response.write('{"result":[1,', () => response.destroy())
  },
  'half an answer, and a hang': (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"result":[1,')
  },
  hang: () => {},
  'a closed connection': (response: ServerResponse) => void response.destroy(),
} satisfies Record<string, (response: ServerResponse) => void>

export type StoreFault = keyof typeof FAULTS
export const STORE_FAULTS = Object.keys(FAULTS) as StoreFault[]

function answer(status: number, type: string, body: string) {
  return (response: ServerResponse) => void response.writeHead(status, { 'content-type': type }).end(body)
}
