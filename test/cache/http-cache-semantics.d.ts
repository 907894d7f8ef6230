declare module 'http-cache-semantics' {
  interface Message {
    readonly method?: string
    readonly status?: number
    readonly headers: Readonly<Record<string, string>>
  }
  export default class CachePolicy {
    constructor(request: Message, response: Message)
    now(): number
    storable(): boolean
    maxAge(): number
    age(): number
    evaluateRequest(request: Message): { readonly response?: unknown; readonly revalidation?: unknown }
  }
}
