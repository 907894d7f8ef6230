import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const BENCH = join(import.meta.dirname, '../../bench/trace-memory.ts')

it('leaves nothing behind in 100,000 traced requests', async () => {
  // A heap so small that even an id kept from each request kills the worker.
  const { stdout } = await promisify(execFile)(process.execPath, [BENCH, '100000', '16'])
  expect(stdout).toContain('400000 spans arrived')
})
