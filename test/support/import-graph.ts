/** A source file, named by its path below `src/`. */
export interface SourceFile {
  readonly name: string
  readonly text: string
  /** What it imports, types too: files by their path below `src/`, packages by name. */
  readonly imports: readonly string[]
}

/** A source file with its imports resolved; `name` is its path below `src/`. */
export function parseSource(name: string, text: string): SourceFile {
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!)
  return { name, text, imports: specifiers.map((specifier) => resolve(name, specifier)) }
}

/** `./x.ts` as seen from `a/b.ts` → `a/x.ts`; a package keeps its name. */
function resolve(from: string, specifier: string): string {
  return specifier.startsWith('.') ? new URL(specifier, `file:///src/${from}`).pathname.replace('/src/', '') : specifier
}

/** Every chain of imports that comes back to its first file, as `a.ts → b.ts → a.ts`; one for each file that closes a chain. */
export function findCircles(files: readonly SourceFile[]): string[] {
  const byName = new Map(files.map((file) => [file.name, file]))
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (name: string, chain: readonly string[]): void => {
    const start = chain.indexOf(name)
    if (start !== -1) circles.push([...chain.slice(start), name].join(' → '))
    if (start !== -1 || done.has(name)) return
    for (const imported of byName.get(name)?.imports ?? []) if (byName.has(imported)) visit(imported, [...chain, name])
    done.add(name)
  }
  for (const { name } of files) visit(name, [])
  return circles
}

/** The room of a file: the longest of `rooms` that its path begins with, or the file's own name at the top of `src/`. */
export function roomOf(name: string, rooms: readonly string[]): string | undefined {
  return rooms.filter((room) => name === room || name.startsWith(`${room}/`)).toSorted((a, b) => b.length - a.length)[0]
}

/** Imports of a room further down the list, as `a/x.ts imports b/y.ts`; `rooms` are listed from the lowest to the highest. */
export function findUpwardImports(files: readonly SourceFile[], rooms: readonly string[]): string[] {
  const names = new Set(files.map(({ name }) => name))
  const level = (name: string) => rooms.indexOf(roomOf(name, rooms) ?? '')
  return files.flatMap((file) =>
    file.imports
      .filter((imported) => names.has(imported) && level(imported) > level(file.name))
      .map((imported) => `${file.name} imports ${imported}`),
  )
}

/** Folders with more than `max` files of their own, as `cache: 46 files`. */
export function findLargeFolders(files: readonly SourceFile[], max: number): string[] {
  const counts = new Map<string, number>()
  for (const { name } of files) {
    const folder = name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : '.'
    counts.set(folder, (counts.get(folder) ?? 0) + 1)
  }
  return [...counts].filter(([, count]) => count > max).map(([folder, count]) => `${folder}: ${count} files`)
}
