/** `count` routes of a large organization: 97 services, one resource for each route, an id at the end. */
export function manyRoutes(count: number) {
  return Array.from({ length: count }, (_, i) => ({
    id: `route-${i}`,
    match: { methods: ['GET'], path: `/api/service-${i % 97}/resource-${i}/:id` },
    respond: { status: 200, body: 'ok' },
  }))
}

/** A path that route `i` matches. */
export function pathOf(i: number, id: number): string {
  return `/api/service-${i % 97}/resource-${i}/${id}`
}
