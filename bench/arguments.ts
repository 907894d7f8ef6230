/** The value of the option `name`. Throws an Error for anything but a whole number from 1. */
export function positive(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name}: expected a whole number from 1, found ${text}`)
  return value
}
