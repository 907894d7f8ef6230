import { describe, expect, it, vi } from 'vitest'
import { keepRunning } from '../../deploy/kept-process.ts'
import type { Workerd } from '../../deploy/workerd.ts'

/** A process that ends when the test says so. */
function makeProcess() {
  const { promise: ended, resolve: end } = Promise.withResolvers<number | NodeJS.Signals>()
  const workerd = { ended, stop: () => Promise.resolve(end(0)) } as unknown as Workerd
  return { workerd, end }
}

/** A start that gives the next of `processes`, or fails where there is an error in its place. */
function makeStart(processes: readonly (ReturnType<typeof makeProcess> | Error)[]) {
  let started = 0
  const start = () => {
    const next = processes[started++]!
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next.workerd)
  }
  return { start, started: () => started }
}

describe('a kept process', () => {
  it('is started again at once when it ends, and says so', async () => {
    const [first, second] = [makeProcess(), makeProcess()]
    const { start } = makeStart([first, second])
    const lines: string[] = []
    const kept = await keepRunning('Worker 1', start, (line) => lines.push(line))
    expect(kept.current()).toBe(first.workerd)
    first.end('SIGKILL')
    await vi.waitFor(() => expect(kept.current()).toBe(second.workerd), { interval: 1 })
    expect(lines).toEqual(['Worker 1 ended (SIGKILL) and is started again'])
    await kept.stop()
  })

  it('rejects when it cannot be started at all', async () => {
    const { start } = makeStart([new Error('no port')])
    await expect(keepRunning('Worker 1', start, () => {})).rejects.toThrow('no port')
  })

  it('is tried again when it cannot be started again', async () => {
    const [first, last] = [makeProcess(), makeProcess()]
    const { start } = makeStart([first, new Error('busy'), last])
    const lines: string[] = []
    const kept = await keepRunning('Worker 1', start, (line) => lines.push(line))
    first.end(1)
    await vi.waitFor(() => expect(kept.current()).toBe(last.workerd), { interval: 5 })
    expect(lines.at(-1)).toBe('Worker 1 could not be started: busy')
    await kept.stop()
  })

  it('is started no more once it is stopped', async () => {
    const { start, started } = makeStart([makeProcess(), makeProcess()])
    const kept = await keepRunning('Worker 1', start, () => {})
    await kept.stop()
    expect([started(), kept.current()]).toEqual([1, undefined])
  })
})
