/**
 * What `ask` answers; undefined when it throws, rejects, or takes longer than `ms` milliseconds. Never rejects, and leaves no timer
 * behind. What comes too late is dropped, not cancelled: that is for whoever asked.
 */
export async function withTimeout<T>(ms: number, ask: () => PromiseLike<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([ask(), late])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}
