import type { TestProject } from 'vitest/node'
import { startOrigin } from './origin.ts'

declare module 'vitest' {
  interface ProvidedContext {
    originPort: number
  }
}

/** Starts the real HTTP origin that tests inside workerd call; its port reaches them as the variable ORIGIN_PORT. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const origin = await startOrigin()
  project.provide('originPort', origin.port)
  return origin.stop
}
