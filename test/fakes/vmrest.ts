/** VMware's REST server as its documentation (1.3) says: Basic authentication, its own media type, errors as Code and Message. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const mediaType = 'application/vnd.vmware.vmw.rest-v1+json'

export interface FakeVm {
  readonly id: string
  readonly path: string
  power: 'poweredOn' | 'poweredOff' | 'paused'
  /** Null: VMware Tools do not run in it. */
  ip: string | null
  readonly nic: { type: string; vmnet: string; macAddress: string }
}

export class FakeVmrest implements AsyncDisposable {
  readonly vms: FakeVm[]
  readonly forwards = new Map<string, { guestIp: string; guestPort: number; desc: string }>()
  readonly pins = new Map<string, string>()
  silent = false
  refuseNext = false
  readonly #server: Server

  constructor(vms: FakeVm[]) {
    this.vms = vms
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  get url(): string {
    return `http://naru:Secret%211@127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.silent) return
    const send = (status: number, body?: unknown): void => {
      response.writeHead(status, { 'content-type': mediaType })
      response.end(body === undefined ? '' : JSON.stringify(body))
    }
    const credentials = `Basic ${Buffer.from('naru:Secret!1').toString('base64')}`
    if (request.headers.authorization !== credentials)
      return send(401, { Code: 1, Message: 'Authentication failed' })
    if (request.headers.accept !== mediaType)
      return send(406, { Code: 111, Message: 'Content type was not supported' })
    let body = ''
    for await (const chunk of request) body += String(chunk)
    this.#route(request.method ?? '', request.url ?? '', body, send)
  }

  #route(method: string, url: string, body: string, send: (status: number, body?: unknown) => void): void {
    const path = url.replace(/^\/api/, '')
    if (method !== 'GET' && this.refuseNext) {
      // A pin may be refused without harm; what counts is the forward.
      if (path.includes('/portforward/')) this.refuseNext = false
      return send(500, { Code: 124, Message: 'The operation failed' })
    }
    if (path === '/vms')
      return send(
        200,
        this.vms.map(({ id, path: vmx }) => ({ id, path: vmx })),
      )
    const [, id = '', what = ''] = /^\/vms\/([^/]+)\/(\w+)$/.exec(path) ?? []
    if (id !== '') return this.#vm(id, what, send)
    if (path === '/vmnet/vmnet8/portforward')
      return send(200, { num: this.forwards.size, port_forwardings: this.#rows() })
    if (path === '/vmnet/vmnet8/mactoip') {
      const mactoips = [...this.pins].map(([mac, ip]) => ({ vmnet: 'vmnet8', mac, ip }))
      return send(200, { num: mactoips.length, mactoips })
    }
    const key = /^\/vmnet\/vmnet8\/portforward\/((?:tcp|udp)\/\d+)$/.exec(path)?.[1]
    if (key !== undefined) return this.#forward(method, key, body, send)
    const mac = /^\/vmnet\/vmnet8\/mactoip\/(.+)$/.exec(path)?.[1]
    if (mac !== undefined && method === 'PUT') {
      const { IP } = JSON.parse(body) as { IP: string }
      if (IP === '') this.pins.delete(decodeURIComponent(mac))
      else this.pins.set(decodeURIComponent(mac), IP)
      return send(200, { Code: 0, Message: 'The operation was successful' })
    }
    send(404, { Code: 100, Message: `${path} was not found` })
  }

  #vm(id: string, what: string, send: (status: number, body?: unknown) => void): void {
    const vm = this.vms.find((one) => one.id === id)
    if (!vm) return send(404, { Code: 115, Message: 'The virtual machine cannot be found' })
    if (what === 'power') return send(200, { power_state: vm.power })
    if (what === 'nic') return send(200, { num: 1, nics: [{ index: 1, ...vm.nic }] })
    if (what === 'ip' && vm.ip !== null) return send(200, { ip: vm.ip })
    send(500, { Code: 118, Message: 'Unable to get the IP address' })
  }

  #forward(method: string, key: string, body: string, send: (status: number, body?: unknown) => void): void {
    if (method === 'PUT') {
      const { guestIp, guestPort, desc } = JSON.parse(body) as {
        guestIp: string
        guestPort: number
        desc: string
      }
      this.forwards.set(key, { guestIp, guestPort, desc })
      return send(200, { Code: 0, Message: 'The operation was successful' })
    }
    if (!this.forwards.delete(key))
      return send(404, { Code: 120, Message: 'The port forwarding cannot be found' })
    send(204)
  }

  #rows(): unknown[] {
    return [...this.forwards].map(([key, { guestIp, guestPort, desc }]) => {
      const [protocol, port] = key.split('/')
      return { port: Number(port), protocol, desc, guest: { ip: guestIp, port: guestPort } }
    })
  }
}
