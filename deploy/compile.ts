import { transform } from 'esbuild'
import { readFileSync, writeFileSync } from 'node:fs'

/** Compiles one TypeScript module without imports to JavaScript in the file `out`. */
export async function compileFile(source: string, out: string): Promise<void> {
  const { code } = await transform(readFileSync(source, 'utf8'), { loader: 'ts', format: 'esm' })
  writeFileSync(out, code)
}
