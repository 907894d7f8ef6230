const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
/** The level of a line. `silent` is a value of `LOG_LEVEL` alone, under which nothing is written. */
export type LogLevel = Exclude<(typeof LEVELS)[number], 'silent'>

const DEFAULT_LEVEL = 'info'

/** Whether lines of `level` are written under this `LOG_LEVEL`; an unset or unknown one means `info`. */
export function isLogged(level: LogLevel, setting: string | undefined): boolean {
  const lowest = LEVELS.indexOf((setting ?? DEFAULT_LEVEL).toLowerCase() as LogLevel)
  return LEVELS.indexOf(level) >= (lowest < 0 ? LEVELS.indexOf(DEFAULT_LEVEL) : lowest)
}
