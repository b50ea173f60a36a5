/**
 * A real home router for the lab: Debian's miniupnpd (UPnP IGD v1/v2, NAT-PMP, PCP, IPv6 pinholes) on nftables NAT
 * in a namespace of its own, between whatever cables the test laid. It can be restarted, made to forget, made to
 * refuse, and its mappings are read from the kernel, which knows best.
 */
import { execFileSync, type ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canonicalAddress } from '../../src/base/address.ts'
import { end, type Lab, type LabHost } from './namespaces.ts'

export interface RouterSetup {
  /** Interface towards the internet and towards the home. @default `wan`, `lan` */
  readonly wan?: string
  readonly lan?: string
  /** Its address on the LAN, without prefix length. */
  readonly lanAddress: string
  /** @default 5000 */
  readonly httpPort?: number
  /** `1` forces IGDv1 (`-1`). @default 2 */
  readonly igd?: 1 | 2
  /** @default true */
  readonly upnp?: boolean
  /** NAT-PMP and PCP. @default true */
  readonly pcp?: boolean
  /** Pass IPv6 in from the WAN only through pinholes. @default true */
  readonly ipv6?: boolean
  /** Clients may map to their own address only. @default true */
  readonly secure?: boolean
  /** Lines `allow …` and `deny …`, first match decides. @default allow 1-65535 everyone */
  readonly permissions?: readonly string[]
  /** Further lines of miniupnpd.conf, such as `ext_ip=203.0.113.9` or `max_lifetime=120`. */
  readonly conf?: readonly string[]
}

export interface KernelMapping {
  readonly protocol: 'tcp' | 'udp'
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
}

export interface KernelPinhole {
  readonly protocol: 'tcp' | 'udp'
  readonly address: string
  readonly port: number
}

export class LabRouter implements AsyncDisposable {
  readonly host: LabHost
  #setup: RouterSetup
  readonly #folder = mkdtempSync(join(tmpdir(), 'naru-lab-router-'))
  #process: ChildProcess | undefined
  #boots = 1

  constructor(host: LabHost, setup: RouterSetup) {
    this.host = host
    this.#setup = setup
  }

  get lanAddress(): string {
    return this.#setup.lanAddress
  }

  /** Loads the packet filter and starts the daemon; resolves when it answers. */
  async start(): Promise<void> {
    const [wan, lan] = [this.#setup.wan ?? 'wan', this.#setup.lan ?? 'lan']
    this.host.sysctl('net/ipv4/ip_forward', '1')
    this.host.sysctl('net/ipv6/conf/all/forwarding', '1')
    this.host.run(['nft', '-f', '-'], { input: packetFilter(wan, lan) })
    await this.#startDaemon()
  }

  /**
   * As after a power cut: the daemon and every mapping are gone. It answers again after `downMs`.
   * @param options `change` is what the next start does differently, such as another `httpPort`; `killed` lets it say
   * no goodbye; `whileDown` runs when everything is gone and nobody can have put it back.
   */
  async restart(
    options: {
      downMs?: number
      change?: Partial<RouterSetup>
      killed?: boolean
      whileDown?: () => void
    } = {},
  ): Promise<void> {
    if (options.killed) await this.kill()
    await this.stop()
    this.forget()
    options.whileDown?.()
    this.#setup = { ...this.#setup, ...options.change }
    if (options.downMs) await new Promise((resolve) => setTimeout(resolve, options.downMs))
    await this.#startDaemon()
  }

  /** Ends the daemon; packets go on flowing. */
  async stop(): Promise<void> {
    if (this.#process) await end(this.#process)
    this.#process = undefined
  }

  /** It says no goodbye; packets go on flowing. */
  async kill(): Promise<void> {
    const daemon = this.#process
    if (!daemon) return
    const gone = new Promise<void>((resolve) => daemon.once('exit', () => resolve()))
    daemon.kill('SIGKILL')
    await gone
  }

  /** Removes every mapping and pinhole from the kernel behind the daemon's back, and its file of leases. */
  forget(): void {
    for (const chain of ['miniupnpd', 'prerouting_miniupnpd', 'postrouting_miniupnpd'])
      this.host.run(['nft', 'flush', 'chain', 'inet', 'miniupnpd', chain])
    for (const file of ['leases', 'leases6']) writeFileSync(join(this.#folder, file), '')
  }

  /** What the kernel really forwards. */
  mappings(): readonly KernelMapping[] {
    const rules = this.host.run(['nft', 'list', 'chain', 'inet', 'miniupnpd', 'prerouting_miniupnpd'])
    const rule = /^.*dport (\d+).*dnat ip to ([\d.]+):(\d+)/gm
    return [...rules.matchAll(rule)].map(([line, externalPort, address, port]) => ({
      protocol: protocolOf(line),
      externalPort: Number(externalPort),
      internalAddress: address as string,
      internalPort: Number(port),
    }))
  }

  /** IPv6 destinations that are let in. */
  pinholes(): readonly KernelPinhole[] {
    const rules = this.host.run(['nft', 'list', 'chain', 'inet', 'miniupnpd', 'miniupnpd'])
    const lines = rules.split('\n').filter((line) => / @nh,192,128 /.test(line))
    return lines.map((line) => ({
      protocol: protocolOf(line),
      address: groups(/@nh,192,128 0x([0-9a-f]{1,32})/.exec(line)?.[1] ?? ''),
      port: Number(/dport (\d+)/.exec(line)?.[1]),
    }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #startDaemon(): Promise<void> {
    const file = (name: string, text: string): string => {
      const path = join(this.#folder, name)
      writeFileSync(path, text, { flag: name.startsWith('leases') ? 'a' : 'w' })
      return path
    }
    const leases = [file('leases', ''), file('leases6', '')] as const
    const conf = file('miniupnpd.conf', configuration(this.#setup, leases))
    // Announced every 30 s; BOOTID counts the boots, as the specification wants.
    const argv = ['miniupnpd', '-d', '-f', conf, '-P', join(this.#folder, 'pid'), '-b', String(this.#boots++)]
    if (this.#setup.igd === 1) argv.push('-1')
    // Into a file: a pipe that a busy test does not read would stop the router.
    const log = join(this.#folder, `log.${this.#boots}`)
    const output = openSync(log, 'w')
    this.#process = this.host.start(argv, { stdio: ['ignore', output, output] })
    closeSync(output)
    await answering(this.#process, log)
  }
}

/** Builds a router on a host whose cables are laid. */
export async function startRouter(host: LabHost, setup: RouterSetup): Promise<LabRouter> {
  const router = new LabRouter(host, setup)
  try {
    await router.start()
  } catch (failure) {
    await router[Symbol.asyncDispose]()
    throw failure
  }
  return router
}

/** The most common home: `internet` — `router` — `host`, IPv4 with NAT and IPv6 without. */
export interface Home extends AsyncDisposable {
  /** 11.0.0.1, 2600:11::1. */
  readonly internet: LabHost
  /** WAN 11.0.0.2 and 2600:11::2, LAN 192.168.77.1 and 2600:77::1. */
  readonly router: LabRouter
  /** 192.168.77.10, 2600:77::10. */
  readonly host: LabHost
}

export const homeAddresses = {
  internet: '11.0.0.1',
  wan: '11.0.0.2',
  router: '192.168.77.1',
  host: '192.168.77.10',
  router6: '2600:77::1',
  host6: '2600:77::10',
} as const

/** @param setup what the router does differently; `wanAddress` moves its outside, such as into 100.64/10. */
export async function homeNetwork(
  lab: Lab,
  setup: Partial<RouterSetup> & { wanAddress?: string; internetAddress?: string } = {},
): Promise<Home> {
  const [internet, box, host] = [lab.host('internet'), lab.host('router'), lab.host('host')]
  const outside = setup.internetAddress ?? homeAddresses.internet
  lab.cable(
    { host: internet, interface: 'eth0', addresses: [`${outside}/24`, '2600:11::1/64'] },
    {
      host: box,
      interface: 'wan',
      addresses: [`${setup.wanAddress ?? homeAddresses.wan}/24`, '2600:11::2/64'],
    },
  )
  lab.cable(
    { host: box, interface: 'lan', addresses: [`${homeAddresses.router}/24`, `${homeAddresses.router6}/64`] },
    { host, interface: 'eth0', addresses: [`${homeAddresses.host}/24`, `${homeAddresses.host6}/64`] },
  )
  box.ip('route', 'add', 'default', 'via', outside)
  host.ip('route', 'add', 'default', 'via', homeAddresses.router)
  host.ip('-6', 'route', 'add', 'default', 'via', homeAddresses.router6)
  internet.ip('-6', 'route', 'add', '2600:77::/64', 'via', '2600:11::2')
  const router = await startRouter(box, { lanAddress: homeAddresses.router, ...setup })
  return { internet, router, host, [Symbol.asyncDispose]: () => router[Symbol.asyncDispose]() }
}

/** The host's IPv6 way out as a router's advertisement makes it: through the router's link-local address. */
export async function byLinkLocal({ router, host }: Home): Promise<void> {
  const lan = (): string => router.host.ip('-6', 'address', 'show', 'dev', 'lan', 'scope', 'link')
  const end = Date.now() + 10_000
  while (/tentative/.test(lan() + host.ip('-6', 'address'))) {
    if (Date.now() > end) throw new Error('no link-local address')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const gateway = /inet6 (fe80:[0-9a-f:]+)/.exec(lan())?.[1] ?? '?'
  host.ip('-6', 'route', 'replace', 'default', 'via', gateway, 'dev', 'eth0')
}

/** The two homes in a row that make double NAT: `internet` — `outer` — `inner` — `host`. */
export async function doubleNat(
  lab: Lab,
  setup: { outer?: Partial<RouterSetup>; inner?: Partial<RouterSetup> } = {},
): Promise<{ internet: LabHost; outer: LabRouter; inner: LabRouter; host: LabHost } & AsyncDisposable> {
  const [internet, far, near, host] = ['internet', 'outer', 'inner', 'host'].map((name) =>
    lab.host(name),
  ) as [LabHost, LabHost, LabHost, LabHost]
  lab.cable(
    { host: internet, interface: 'eth0', addresses: ['11.0.0.1/24'] },
    { host: far, interface: 'wan', addresses: ['11.0.0.2/24'] },
  )
  lab.cable(
    { host: far, interface: 'lan', addresses: ['192.168.1.1/24'] },
    { host: near, interface: 'wan', addresses: ['192.168.1.2/24'] },
  )
  lab.cable(
    { host: near, interface: 'lan', addresses: [`${homeAddresses.router}/24`] },
    { host, interface: 'eth0', addresses: [`${homeAddresses.host}/24`] },
  )
  far.ip('route', 'add', 'default', 'via', '11.0.0.1')
  near.ip('route', 'add', 'default', 'via', '192.168.1.1')
  host.ip('route', 'add', 'default', 'via', homeAddresses.router)
  const outer = await startRouter(far, { lanAddress: '192.168.1.1', ...setup.outer })
  const inner = await startRouter(near, { lanAddress: homeAddresses.router, ...setup.inner })
  const dispose = async (): Promise<void> => {
    await Promise.all([outer[Symbol.asyncDispose](), inner[Symbol.asyncDispose]()])
  }
  return { internet, outer, inner, host, [Symbol.asyncDispose]: dispose }
}

/** Does `from` get an answer by TCP? The judge is curl; any HTTP status is an answer. */
export function reaches(from: LabHost, url: string, seconds = 2): boolean {
  try {
    from.run(['curl', '-g', '-s', '-o', '/dev/null', '-m', String(seconds), url])
    return true
  } catch {
    return false
  }
}

/** A web server that says `hello` on every address of the host. */
export async function startWebServer(host: LabHost, port: number): Promise<void> {
  const script = `require('http').createServer((q, a) => a.end('hello\\n')).listen(${port}, '::', () => console.log('up'))`
  const child = host.start([process.execPath, '-e', script])
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', () => reject(new Error('the web server ended')))
  })
}

/** miniupnpd writes the protocol as a raw byte (`@nh,72,8 0x6`, in IPv6 `@nh,48,8`), which nft shows as it is. */
function protocolOf(line: string): 'tcp' | 'udp' {
  return /@nh,(?:72|48),8 0x11|\budp\b/.test(line) ? 'udp' : 'tcp'
}

/** 128 bits in hexadecimal as an IPv6 address. */
function groups(hex: string): string {
  return canonicalAddress(hex.padStart(32, '0').replace(/(.{4})(?=.)/g, '$1:')) ?? hex
}

function configuration(setup: RouterSetup, [leases, leases6]: readonly [string, string]): string {
  const on = (value: boolean): string => (value ? 'yes' : 'no')
  return [
    `ext_ifname=${setup.wan ?? 'wan'}`,
    ...(setup.ipv6 === false ? ['ipv6_disable=yes'] : [`ext_ifname6=${setup.wan ?? 'wan'}`]),
    `listening_ip=${setup.lan ?? 'lan'}`,
    `http_port=${setup.httpPort ?? 5000}`,
    `enable_upnp=${on(setup.upnp ?? true)}`,
    `enable_natpmp=${on(setup.pcp ?? true)}`,
    `secure_mode=${on(setup.secure ?? true)}`,
    'system_uptime=no',
    'upnp_table_name=miniupnpd',
    'upnp_nat_table_name=miniupnpd',
    'upnp_forward_chain=miniupnpd',
    'upnp_nat_chain=prerouting_miniupnpd',
    'upnp_nat_postrouting_chain=postrouting_miniupnpd',
    `lease_file=${leases}`,
    `lease_file6=${leases6}`,
    'uuid=5f1b8d2c-7c55-4b0a-9d3e-6d6f0e8c1a77',
    'friendly_name=Lab Router',
    'manufacturer_name=Naru Lab',
    'model_name=LR-1',
    'presentation_url=http://' + setup.lanAddress + '/admin',
    ...(setup.conf ?? []),
    ...(setup.permissions ?? ['allow 1-65535 0.0.0.0/0 1-65535']),
    '',
  ].join('\n')
}

/** What a distribution's nft_init.sh sets up, with masquerading and a forward policy of drop. */
function packetFilter(wan: string, lan: string): string {
  return `table inet miniupnpd {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "${lan}" accept
    jump miniupnpd
  }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    jump postrouting_miniupnpd
    meta nfproto ipv4 oifname "${wan}" masquerade
  }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
`
}

/** Resolves when the daemon says it listens; rejects with its last words where it ends first or takes 10 s. */
async function answering(child: ChildProcess, log: string): Promise<void> {
  const end = Date.now() + 10_000
  for (;;) {
    const said = readFileSync(log, 'utf8')
    if (/Listening for NAT-PMP|HTTP listening on port/.test(said)) return
    if (child.exitCode !== null || Date.now() > end)
      throw new Error(`miniupnpd did not start:\n${said.slice(-2000)}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** upnpc's own view, as a second opinion: its output, or what it printed as it failed. */
export function upnpc(from: LabHost, ...args: string[]): string {
  try {
    return execFileSync('ip', ['netns', 'exec', from.namespace, 'upnpc', ...args], {
      encoding: 'utf8',
      timeout: 20_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  } catch (failure) {
    return (failure as { stdout?: string }).stdout ?? ''
  }
}

/** natpmpc's, likewise. It asks the gateway by itself, or the one that `-g` names. */
export function natpmpc(from: LabHost, ...args: string[]): string {
  try {
    return from.run(['natpmpc', ...args])
  } catch (failure) {
    return (failure as { stdout?: string }).stdout ?? ''
  }
}
