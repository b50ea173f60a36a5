/**
 * An engine that answers as the Docker Engine API v1.41 is documented (and as Podman answers it): containers listed
 * and inspected, errors as `{ message }`. It can be told to be silent, to fail, or to talk nonsense.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface FakeContainer {
  readonly name: string
  readonly id: string
  state: 'running' | 'exited' | 'paused' | 'created'
  /** Of its only network; empty: on none. */
  address: string
  readonly address6?: string
  /** `bridge`, `host`, `none`, `container:ID`. @default 'bridge' */
  readonly mode?: string
  readonly service?: string
  readonly ports?: readonly { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[]
}

export type Misbehaviour = 'silent' | 'error' | 'garbage' | 'endless' | null

export class FakeEngine implements AsyncDisposable {
  readonly containers: FakeContainer[]
  readonly flavour: 'docker' | 'podman'
  readonly #folder = mkdtempSync(join(tmpdir(), 'naru-engine-'))
  readonly #server: Server
  readonly asked: string[] = []
  misbehaves: Misbehaviour = null
  rootless = false

  constructor(containers: FakeContainer[], flavour: 'docker' | 'podman' = 'docker') {
    this.containers = containers
    this.flavour = flavour
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  get url(): string {
    return `unix://${this.#folder}/engine.sock`
  }

  async start(): Promise<this> {
    this.#server.listen(join(this.#folder, 'engine.sock'))
    await once(this.#server, 'listening')
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #answer({ method, url = '' }: IncomingMessage, response: ServerResponse): void {
    this.asked.push(`${method} ${url}`)
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }
    if (this.misbehaves === 'silent') return
    if (this.misbehaves === 'error')
      return send(500, { message: 'driver failed programming external connectivity' })
    if (this.misbehaves === 'garbage') return void response.end('<html>404 Not Found</html>')
    if (this.misbehaves === 'endless') return pourForever(response)
    const path = url.split('?')[0] as string
    if (path === '/containers/json') return send(200, this.#list(url))
    if (path === '/info')
      return send(200, {
        OperatingSystem: 'Debian GNU/Linux 12',
        ...(this.flavour === 'podman'
          ? { Rootless: this.rootless, SecurityOptions: ['name=seccomp,profile=default'] }
          : { SecurityOptions: this.rootless ? ['name=seccomp,profile=default', 'name=rootless'] : [] }),
      })
    const wanted = /^\/containers\/([^/]+)\/json$/.exec(path)?.[1] ?? ''
    const container = this.containers.find(({ id, name }) => id.startsWith(wanted) || name === wanted)
    if (wanted === '') return send(404, { message: 'page not found' })
    if (!container) return send(404, { message: `No such container: ${wanted}` })
    send(200, inspected(container))
  }

  #list(url: string): unknown {
    return this.containers
      .filter(({ state }) => url.includes('all=') || state === 'running')
      .map((container) => ({
        Id: container.id,
        Names: [`/${container.name}`],
        Image: 'nginx:1.27',
        State: container.state,
        Status: container.state === 'running' ? 'Up 2 hours' : 'Exited (0) 2 hours ago',
        Labels: container.service ? { 'com.docker.compose.service': container.service } : {},
        Ports: container.ports ?? [],
        // Podman says `host` of every container in its list.
        HostConfig: { NetworkMode: this.flavour === 'podman' ? 'host' : (container.mode ?? 'bridge') },
        NetworkSettings: this.flavour === 'podman' ? null : networkSettings(container),
      }))
  }
}

function inspected(container: FakeContainer): unknown {
  return {
    Id: container.id,
    Name: `/${container.name}`,
    State: { Status: container.state, Running: container.state === 'running' },
    HostConfig: { NetworkMode: container.mode ?? 'bridge' },
    NetworkSettings: networkSettings(container),
  }
}

function networkSettings({ mode = 'bridge', state, address, address6 }: FakeContainer): unknown {
  const up = state === 'running' && mode === 'bridge'
  return {
    Networks: mode.startsWith('container:')
      ? {}
      : {
          [mode]: {
            IPAddress: up ? address : '',
            GlobalIPv6Address: up ? (address6 ?? '') : '',
            MacAddress: '',
          },
        },
  }
}

function pourForever(response: ServerResponse): void {
  const piece = `"${'x'.repeat(65_536)}",`
  response.write('[')
  const pour = (): void => {
    while (!response.destroyed && response.write(piece));
  }
  response.on('drain', pour)
  pour()
}
