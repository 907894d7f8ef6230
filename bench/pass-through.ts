/** The baseline of every figure: a Worker that only passes the request on to the origin. */
export default {
  fetch(request: Request, env: { BENCH_ORIGIN: string }): Promise<Response> {
    return fetch(env.BENCH_ORIGIN + new URL(request.url).pathname, request)
  },
}
