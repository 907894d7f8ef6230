import { createServer, type AddressInfo } from 'node:net'

/** Whether a loopback port can be listened on now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((known) => {
    const probe = createServer()
    probe.once('error', () => known(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => known(true)))
  })
}

/** That many different loopback ports on which nothing listens. They are held together, so that none comes out twice. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map((server) => new Promise<void>((up) => server.listen(0, '127.0.0.1', up))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))))
  return ports
}
