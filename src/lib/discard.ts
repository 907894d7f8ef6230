/** Frees the connection of a response that nobody will read. */
export function discard({ body }: Response): void {
  body?.cancel().catch(() => {})
}
