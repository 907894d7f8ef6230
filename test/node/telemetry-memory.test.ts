import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const BENCH = join(import.meta.dirname, '../../bench/trace-memory.ts')

it('leaves nothing behind in 100,000 traced requests', async () => {
  // A tenth of the requests in a sixth of the heap: what would not fit in 192 MB after a million does not fit here either.
  const { stdout } = await promisify(execFile)(process.execPath, [BENCH, '100000', '32'])
  expect(stdout).toContain('400000 spans arrived')
})
