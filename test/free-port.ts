/**
 * Ports that nothing uses now, below those that the system hands out for dialling: no connection of the test itself
 * takes one between the asking and the listening. None of a host is given twice to one test process, and test files
 * that run side by side draw from parts of their own.
 */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** As many as there are workers at most. */
const parts = 4
const partSize = 5000
const lowest = 10_000 + (Number(process.env.VITEST_POOL_ID ?? 0) % parts) * partSize
const highest = lowest + partSize
const given = new Set<string>()

/**
 * The first of `count` ports in a row that are free on `host` for TCP and UDP.
 * @throws Error where 50 tries found none
 */
export async function freePort(host = '127.0.0.1', count = 1): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const first = randomInt(lowest, highest - count)
    const ports = Array.from({ length: count }, (_, offset) => first + offset)
    const places = ports.map((port) => `${host} ${port}`)
    if (places.some((place) => given.has(place))) continue
    for (const place of places) given.add(place)
    if (await areFree(host, ports)) return first
    for (const place of places) given.delete(place)
  }
  throw new Error(`no ${count} free ports in a row`)
}

/** As many single ports, in no order. */
export async function freePorts(count: number): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, () => freePort()))
}

async function areFree(host: string, ports: readonly number[]): Promise<boolean> {
  for (const port of ports) if (!(await isFreeTcp(host, port)) || !(await isFreeUdp(host, port))) return false
  return true
}

async function isFreeTcp(host: string, port: number): Promise<boolean> {
  const server = createServer().listen(port, host)
  try {
    await once(server, 'listening')
    await new Promise((resolve) => server.close(resolve))
    return true
  } catch {
    return false
  }
}

async function isFreeUdp(host: string, port: number): Promise<boolean> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  try {
    socket.bind(port, host)
    await once(socket, 'listening')
    return true
  } catch {
    return false
  } finally {
    await new Promise<void>((resolve) => socket.close(resolve))
  }
}
