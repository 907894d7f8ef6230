/** What every figure is held against: the least that a Worker in front of an origin can do. */
export default {
  fetch(request: Request, env: { BENCH_ORIGIN: string }): Promise<Response> {
    return fetch(env.BENCH_ORIGIN + new URL(request.url).pathname, request)
  },
}
