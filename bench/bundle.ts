import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { atMost, printFigures, type Figure } from './statistics.ts'

interface Metafile {
  readonly outputs: Readonly<
    Record<string, { readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }>
  >
}

const KB = 1024

/** Measures the size of the bundled Worker and of its packages. The gzip size of a part is estimated by its bytes, because parts are compressed together. */
export function measureBundle(worker: string) {
  const code = readFileSync(join(worker, 'index.js'))
  const gzip = gzipSync(code).byteLength
  const { outputs } = JSON.parse(readFileSync(join(worker, 'bundle-meta.json'), 'utf8')) as Metafile
  const bytes = new Map<string, number>()
  for (const { inputs } of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const owner = ownerOf(path)
      bytes.set(owner, (bytes.get(owner) ?? 0) + bytesInOutput)
    }
  }
  const parts = [...bytes].filter(([, size]) => size > 0).toSorted((a, b) => b[1] - a[1])
  const figure = (name: string, size: number, rest: Partial<Figure> = {}): Figure => {
    const kb = size / KB
    return { name, value: { median: kb, min: kb, max: kb }, unit: 'KB', ...rest }
  }
  const share = (size: number) => `≈ ${((size / code.byteLength) * (gzip / KB)).toFixed(1)} KB gzip`
  printFigures('Bundle', [
    figure('gzip', gzip, { target: atMost(250, ' KB') }),
    figure('minified', code.byteLength),
    ...parts.map(([name, size]) => figure(`  ${name}`, size, { note: share(size) })),
  ])
  return { gzip, minified: code.byteLength, parts: Object.fromEntries(parts) }
}

/** The package that a file of the bundle belongs to. */
function ownerOf(path: string): string {
  const inside = path.split('node_modules/').at(-1)!
  if (inside === path) return path.includes('src/') ? 'umbral' : 'runtime glue'
  const [scope, name] = inside.split('/')
  return scope!.startsWith('@') ? `${scope}/${name}` : scope!
}
