import { basename, resolve } from 'node:path'
import { parseArgs, type ParseArgsConfig } from 'node:util'

/**
 * The parsed arguments of the program. `--help` prints `usage` and ends the program. Invalid arguments print a message and `usage` on stderr and
 * end it with exit code 2.
 */
export function readArguments<Config extends ParseArgsConfig>(usage: string, config: Config) {
  // `npm start --help` prints the help of npm. `npm start -- --help` and a direct call of the program come here.
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    console.log(usage)
    process.exit(0)
  }
  try {
    return parseArgs(config)
  } catch (error) {
    return misused(usage, (error as Error).message.split('. To specify')[0]!)
  }
}

/**
 * The absolute path of `path` as it was typed. npm runs a script in the folder of its package, and gives it the folder in which the command was typed
 * in INIT_CWD. Programs that a script starts inherit that variable, and are called with paths of their own folder.
 */
export function typedPath(path: string): string {
  const { npm_lifecycle_script, INIT_CWD } = process.env
  const isScript = npm_lifecycle_script?.includes(basename(process.argv[1] ?? '')) === true
  return isScript && INIT_CWD !== undefined ? resolve(INIT_CWD, path) : resolve(path)
}

/** Prints a diagnostic of the arguments and the usage, and ends the program with exit code 2. */
export function misused(usage: string, diagnostic: string): never {
  console.error(`${diagnostic}\n\n${usage}`)
  process.exit(2)
}

/** The port in `text`, from `min` (0 or 1) to 65535. Ends the program when it is none. */
export function readPort(usage: string, text: string, min: number): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= min && port <= 65_535) return port
  return misused(usage, `--port: expected a number from ${min} to 65535, found "${text}"`)
}

/** `Port 8787 is taken; try another: npm start -- --redis --port 8788`: the same command with the port after this one. */
export function portTaken(command: string, port: number): string {
  const args = process.argv.slice(2)
  const others = args.filter((arg, i) => !/^--port(=|$)/.test(arg) && args[i - 1] !== '--port').map(quoted)
  const another = port < 65_535 ? port + 1 : port - 1
  return `Port ${port} is taken; try another: ${[command, '--', ...others, '--port', another].join(' ')}`
}

/** An argument in the notation of a shell. */
const quoted = (text: string) => (/^[\w./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
