const encoder = new TextEncoder()

/** Whether `text` takes more than `max` bytes in UTF-8; most texts are so short that their length alone tells. */
export const exceedsBytes = (text: string, max: number): boolean =>
  text.length > max || (text.length * 3 > max && encoder.encode(text).length > max)
