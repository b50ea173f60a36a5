/**
 * Containers of Docker and Podman. Their own address is dialled, found by name each time. Neither engine can publish a
 * port of a running container; a port that is published already is used where its container has no address for us
 * (rootless, Docker Desktop, an engine elsewhere).
 */
import { isNaruError, NaruError } from '../../base/errors.ts'
import { shellWord } from '../../base/shell.ts'
import { say, type Text } from '../../base/text.ts'
import type { Guest, GuestMember, GuestOptions } from '../contract.ts'
import { openForwards, type ListedForward } from '../shared/forwards.ts'
import { pickGuest, pickRunning } from '../shared/pick.ts'
import {
  inspectContainer,
  type Inspected,
  listContainers,
  sharesOurNetwork,
  type Container,
  type DockerEngine,
  type EngineKind,
} from './engine-api.ts'
import { findEngine, hostVariables, type DockerPlace } from './engine-place.ts'

export interface DockerOptions {
  /** `unix://PATH`, `tcp://HOST:PORT`. @default DOCKER_HOST or CONTAINER_HOST, else the usual sockets */
  readonly url?: string
  /** @default process.env */
  readonly env?: NodeJS.ProcessEnv
}

/** A container may have another address after each start. */
const ttlMs = 5000

export function docker(options: DockerOptions = {}): GuestMember {
  return engineMember('docker', options)
}

export function podman(options: DockerOptions = {}): GuestMember {
  return engineMember('podman', options)
}

function engineMember(kind: EngineKind, { url, env = process.env }: DockerOptions): GuestMember {
  const found = (): DockerPlace => findEngine(kind, url === undefined ? env : { [hostVariables[kind]]: url })
  const engine = (): DockerEngine => {
    const place = found()
    if (place.engine) return place.engine
    throw new NaruError('GUEST_NOT_HERE', { kind, why: place.why })
  }
  const listed = async ({ host, signal }: GuestOptions): Promise<readonly Container[]> => {
    try {
      return await listContainers(kind, engine(), signal)
    } catch (error) {
      throw found().usual && isNaruError(error, 'GUEST_NOT_HERE')
        ? await whetherInstalled(error, kind, { host, signal })
        : error
    }
  }
  const containers = async (options: GuestOptions): Promise<readonly Seen[]> =>
    (await listed(options)).map((container) => seenOf(kind, container))

  return {
    kind,
    async detect(options) {
      try {
        const { length } = await listed(options)
        const { url: where } = engine()
        return { ok: true, why: say`${length} containers at ${where}` }
      } catch (error) {
        if (error instanceof NaruError) return { ok: false, why: error.text }
        throw error
      }
    },

    list: containers,

    async resolve(name, options) {
      const { signal } = options
      const guest = running(kind, await containers(options), name)
      const addresses = await addressesOf(kind, engine(), guest.id, signal)
      if (addresses.length === 0) throw noAddress(guest, await sharesOurNetwork(kind, engine(), signal))
      return { addresses, ttlMs, sharesNetwork: addresses === onThisMachine }
    },

    async reach(name, options) {
      byName(kind, await containers(options), name)
      return (await sharesOurNetwork(kind, engine(), options.signal)) ? 'direct' : 'nat'
    },

    async open(request, { host, signal, record }) {
      const guest = running(kind, await containers({ host, signal }), request.name)
      const list = async (when: AbortSignal): Promise<readonly ListedForward[]> =>
        running(kind, await containers({ host, signal: when }), request.name).forwards.map((forward) => ({
          ...forward,
          tag: null,
        }))
      const nothing = (): Promise<void> => Promise.resolve()
      const table = { list, add: nothing, remove: nothing, cannotAdd: cannotPublish(guest) }
      return openForwards({ kind, table, request, record, signal })
    },

    // Nothing is ever added, so there is nothing to undo.
    undo: () => Promise.resolve(),
  }
}

/** Nobody answers where the engine usually is. Whoever has installed it can start it: Podman's socket is off until then. */
async function whetherInstalled(
  absent: NaruError,
  kind: EngineKind,
  { host }: GuestOptions,
): Promise<NaruError> {
  if ((await host.facts()).tools[kind] === undefined) return absent
  const { why } = absent.params
  return new NaruError(
    'GUEST_NOT_RUNNING',
    { kind, why: why as Text, start: startOf(kind) },
    { cause: absent },
  )
}

function startOf(kind: EngineKind): string {
  const system = process.platform === 'linux'
  if (kind === 'docker') return system ? 'sudo systemctl start docker' : 'docker desktop start'
  if (!system) return 'podman machine start'
  return process.getuid?.() === 0
    ? 'sudo systemctl enable --now podman.socket'
    : 'systemctl --user enable --now podman.socket'
}

interface Seen extends Guest {
  /** Names by which Compose and Docker know it besides: its service, the start of its id. */
  readonly service: string | null
}

function seenOf(kind: EngineKind, container: Container): Seen {
  const names = (container.Names ?? [])
    .map((name) => name.replace(/^\//, ''))
    .filter((name) => !name.includes('/'))
  return {
    kind,
    name: names[0] ?? container.Id.slice(0, 12),
    id: container.Id,
    state: stateOf(container.State),
    addresses: networkAddresses(container.NetworkSettings?.Networks),
    forwards: forwardsOf(container),
    service: container.Labels?.['com.docker.compose.service'] ?? null,
  }
}

/** By name; else by the service of a Compose file; else by the first 12 or more digits of its id, as `docker ps` shows it. */
function byName(kind: EngineKind, guests: readonly Seen[], name: string): Seen {
  return pickGuest(kind, guests, name, goesBy(name))
}

function goesBy(name: string): (guest: Seen) => boolean {
  return ({ service, id }) => service === name || (name.length >= 12 && id.startsWith(name))
}

function running(kind: EngineKind, guests: readonly Seen[], name: string): Seen {
  const start = ({ state, name: real }: Seen): string =>
    `${kind} ${state === 'paused' ? 'unpause' : 'start'} ${shellWord(real)}`
  return pickRunning(kind, guests, name, start, goesBy(name))
}

function stateOf(state: string): Guest['state'] {
  if (state === 'running' || state === 'paused') return state
  return /^(created|configured|exited|stopped|dead|removing|restarting|initialized)$/.test(state)
    ? 'stopped'
    : 'unknown'
}

/** Of containers with `--network host`. */
const onThisMachine: readonly string[] = ['127.0.0.1', '::1']

/** A container in this machine's or another container's network namespace has no address of its own. */
async function addressesOf(
  kind: EngineKind,
  engine: DockerEngine,
  id: string,
  signal: AbortSignal,
  sharedWith: readonly string[] = [],
): Promise<readonly string[]> {
  const { HostConfig, NetworkSettings } = await inspectContainer(kind, engine, id, signal)
  const mode = HostConfig.NetworkMode ?? ''
  if (mode === 'host') return onThisMachine
  const owner = /^container:(.+)$/.exec(mode)?.[1]
  if (!owner) return networkAddresses(NetworkSettings.Networks)
  const before = [...sharedWith, id]
  return before.includes(owner) ? [] : addressesOf(kind, engine, owner, signal, before)
}

/** IPv4 first. */
function networkAddresses(networks: Inspected['NetworkSettings']['Networks']): readonly string[] {
  const of = (key: 'IPAddress' | 'GlobalIPv6Address'): string[] =>
    Object.values(networks ?? {})
      .map((network) => network?.[key] ?? '')
      .filter((address) => address !== '')
  return [...of('IPAddress'), ...of('GlobalIPv6Address')]
}

/** Published ports; the IPv4 and the IPv6 wildcard are one. */
function forwardsOf({ Ports }: Container): Guest['forwards'] {
  const rows = (Ports ?? []).flatMap(({ IP, PublicPort, PrivatePort, Type }): Guest['forwards'] =>
    PublicPort === undefined || (Type !== 'tcp' && Type !== 'udp')
      ? []
      : [
          {
            protocol: Type,
            hostAddress: wild(IP) ? null : (IP as string),
            hostPort: PublicPort,
            guestPort: PrivatePort,
            ours: false,
          },
        ],
  )
  const key = (row: (typeof rows)[number]): string =>
    `${row.protocol} ${row.hostAddress} ${row.hostPort} ${row.guestPort}`
  return [...new Map(rows.map((row) => [key(row), row])).values()]
}

function wild(address: string | undefined): boolean {
  return address === undefined || address === '' || address === '0.0.0.0' || address === '::'
}

/** A container of the network `none` has to leave it first; Podman lets none join another. */
function networkCommand(kind: Guest['kind'], name: string): string {
  const word = shellWord(name)
  return kind === 'docker'
    ? `docker network disconnect none ${word}; docker network connect bridge ${word}`
    : `podman run --network podman …`
}

function noAddress({ kind, name }: Guest, sharesNetwork: boolean): NaruError {
  return new NaruError('GUEST_NO_ADDRESS', {
    kind,
    name,
    why: sharesNetwork
      ? say('it is on no network that gives it one')
      : say('its networks are not this machine’s'),
    fix: sharesNetwork
      ? say`put it on one: ${networkCommand(kind, name)}`
      : say('publish a port of it: start it anew with -p, and use --guest nat'),
  })
}

function cannotPublish({ kind, name }: Guest): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say('a running container cannot be given a published port'),
    fix: say('dial the container itself (--guest direct), or start it anew with -p'),
  })
}
