import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { listen, type Listening } from '../support/listen.ts'

let origin: Listening
let gateway: RunningGateway

/** An application mounted at /shop that knows nothing of a gateway, as a Rails or Express application behind a path prefix. */
function serveShop({ url, headers }: IncomingMessage, response: ServerResponse): void {
  if (url === '/shop/basket' && !headers.cookie?.includes('sid=1')) {
    const login = `http://${headers.host}/shop/login?next=%2Fshop%2Fbasket`
    return void response.writeHead(302, { location: login }).end()
  }
  if (url?.startsWith('/shop/login')) {
    const cookies = ['sid=1; Path=/shop; HttpOnly', `theme=dark; Path=/shop; Domain=${headers.host?.split(':')[0]}`]
    return void response.writeHead(303, { location: '/shop/basket', 'set-cookie': cookies }).end()
  }
  response.writeHead(200, { 'content-location': url }).end(`basket of ${headers.cookie}`)
}

beforeAll(async () => {
  origin = await listen(createServer(serveShop))
  gateway = await startGateway({
    routes: {
      upstreams: { shop: { targets: [{ url: `${origin.url}/shop` }] } },
      routes: [
        { id: 'shop', match: { path: '/store/*' }, upstream: 'shop', policies: { rewrite: { path: '/*' } } },
        {
          id: 'raw',
          match: { path: '/raw/*' },
          upstream: 'shop',
          policies: { rewrite: { path: '/*' }, headers: { response: { location: 'keep' } } },
        },
      ],
    },
  })
})
afterAll(async () => {
  await gateway.stop()
  await origin.stop()
})

it('lets a client log in to an application behind a path prefix, by its redirects and its cookies', async () => {
  const get = (path: string, cookie = '') =>
    fetch(new URL(path, gateway.url), { redirect: 'manual', headers: { cookie } })
  const refused = await get('/store/basket')
  expect(refused.headers.get('location')).toBe('/store/login?next=%2Fshop%2Fbasket')
  const login = await get(refused.headers.get('location')!)
  expect(login.headers.getSetCookie()).toEqual(['sid=1; Path=/store; HttpOnly', 'theme=dark; Path=/store'])
  const basket = await get(login.headers.get('location')!, 'sid=1; theme=dark')
  expect([basket.status, await basket.text()]).toEqual([200, 'basket of sid=1; theme=dark'])
  expect(basket.headers.get('content-location')).toBe('/store/basket')
})

it('keeps them where a route says so', async () => {
  const response = await fetch(`${gateway.url}/raw/login`, { redirect: 'manual' })
  expect(response.headers.get('location')).toBe('/shop/basket')
  expect(response.headers.getSetCookie()[0]).toBe('sid=1; Path=/shop; HttpOnly')
})
