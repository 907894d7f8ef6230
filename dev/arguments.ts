import { parseArgs, type ParseArgsConfig } from 'node:util'

/**
 * What a program was called with. `--help` prints `usage` and ends it; a mistake in the arguments prints what is wrong and `usage` on stderr and
 * ends it with exit code 2.
 */
export function readArguments<Config extends ParseArgsConfig>(usage: string, config: Config) {
  // npm is the one who would say "--help" to `npm start --help`; `npm start -- --help` and the programs themselves come here.
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

/** Ends the program with what is wrong with its arguments, its usage, and exit code 2. */
export function misused(usage: string, diagnostic: string): never {
  console.error(`${diagnostic}\n\n${usage}`)
  process.exit(2)
}

/** The port that `--port` asks for, from `least` (0 or 1) to 65535. */
export function readPort(usage: string, text: string, least: number): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= least && port <= 65_535) return port
  return misused(usage, `--port: expected a number from ${least} to 65535, found "${text}"`)
}

/** `Port 8787 is taken; try another: npm start -- --redis --port 8788`: the same command with the port after this one. */
export function portTaken(command: string, port: number): string {
  const args = process.argv.slice(2)
  const others = args.filter((arg, i) => !/^--port(=|$)/.test(arg) && args[i - 1] !== '--port').map(quoted)
  const another = port < 65_535 ? port + 1 : port - 1
  return `Port ${port} is taken; try another: ${[command, '--', ...others, '--port', another].join(' ')}`
}

/** As a shell takes it for one word. */
const quoted = (word: string) => (/^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
