/** The text of a body, as strict UTF-8 without its byte order mark. Throws when it is longer than `maxBytes`, or is none. */
export async function readCappedText({ body }: Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })
  let [text, bytes] = ['', 0]
  for await (const chunk of (body as ReadableStream<Uint8Array> | null) ?? []) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) throw new RangeError('the body is too large')
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}
