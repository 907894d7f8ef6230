import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildRoutes, buildWorker } from '../../deploy/worker.ts'

/** Builds the Worker once, before the test files that start gateways would each build it. */
export default async function setup(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-build-'))
  const routes = join(folder, 'routes.txt')
  await buildRoutes('routes.json', routes, process.env)
  await buildWorker(routes)
  rmSync(folder, { recursive: true })
}
