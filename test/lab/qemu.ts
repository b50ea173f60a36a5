/**
 * A real guest in a host of the lab: QEMU without hardware help (TCG), up in about four seconds, with a page on port
 * 80 (`hello from NAME`) and echo on TCP port 7. Its network is QEMU's own (`user`: nothing gets in without
 * a forward) or a tap on a bridge of the host (`bridge`: the host reaches the guest's address).
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Needs } from '../needs.ts'
import { guestImage } from './guest-image.ts'
import { end, type LabHost } from './namespaces.ts'

/** What `startGuest` needs of the machine, for `describeWith`. */
export const guestNeeds: Needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'qemu-system-x86_64', 'busybox', 'apt-get', 'dpkg-deb'],
}

export interface GuestOptions {
  readonly name: string
  /** @default 'user', where the guest is 10.0.2.15 behind QEMU's own NAT */
  readonly network?: 'user' | BridgeNetwork
  /** Forwards it starts with, such as `tcp::2222-:22`. For `user` only. */
  readonly forwards?: readonly string[]
  /** More of QEMU's own arguments. */
  readonly args?: readonly string[]
  /** @default 60_000 */
  readonly readyMs?: number
  /** A file of `LabGuest.save`: it goes on where it was, in a fraction of the time that starting takes. */
  readonly from?: string
}

export interface BridgeNetwork {
  /** Made where it is not there yet, with `hostAddress`. */
  readonly bridge: string
  /** Such as `192.168.122.1/24`. */
  readonly hostAddress: string
  /** Such as `192.168.122.15/24`. */
  readonly guestAddress: string
  /** @default one that follows from the guest's address */
  readonly mac?: string
}

/** Resolves when the guest serves its page. It ends with the host, or by `stop`. */
export async function startGuest(host: LabHost, options: GuestOptions): Promise<LabGuest> {
  const folder = mkdtempSync(join(tmpdir(), 'naru-guest-'))
  const qmp = join(folder, 'qmp')
  const network = networkArguments(host, options)
  const { kernel, initramfs } = guestImage()
  const child = host.start([
    'qemu-system-x86_64',
    ...words('-M q35 -accel tcg -m 128 -nodefaults -display none -no-reboot -serial stdio'),
    ...words(
      `-name ${options.name} -qmp unix:${qmp},server=on,wait=off -kernel ${kernel} -initrd ${initramfs}`,
    ),
    '-append',
    // On a busy machine the emulated timer misses the kernel's own check of it, and the boot ends there.
    `console=ttyS0 quiet panic=-1 no_timer_check naru.name=${options.name} ${network.kernel}`,
    ...network.qemu,
    ...(options.from ? ['-incoming', `exec:cat ${options.from}`] : []),
    ...(options.args ?? []),
  ])
  const guest = new LabGuest(options.name, qmp, network.address, child, folder)
  try {
    if (options.from) await guest.running()
    else await guest.ready(options.readyMs ?? 60_000)
  } catch (error) {
    await guest.stop()
    throw error
  }
  return guest
}

export class LabGuest implements AsyncDisposable {
  readonly name: string
  /** Path of its QMP socket; QEMU answers one client at a time. */
  readonly qmp: string
  readonly address: string
  readonly #child: ChildProcess
  readonly #folder: string
  #console = ''

  constructor(name: string, qmp: string, address: string, child: ChildProcess, folder: string) {
    this.name = name
    this.qmp = qmp
    this.address = address
    this.#child = child
    this.#folder = folder
    const keep = (text: Buffer): void =>
      void (this.#console = (this.#console + text.toString()).slice(-16_384))
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    child.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  }

  /** The last 16 KiB of its serial console and of QEMU's own complaints. */
  get console(): string {
    return this.#console
  }

  /** A command of QEMU's human monitor, such as `info usernet`. */
  async monitor(command: string): Promise<string> {
    return (await this.qmpCommand('human-monitor-command', { 'command-line': command })) as string
  }

  /** What `info usernet` says of forwards, a line each, sorted; connections that come and go are left out. */
  async forwards(): Promise<readonly string[]> {
    const text = await this.monitor('info usernet')
    return text
      .split('\r\n')
      .filter((line) => line.includes('[HOST_FORWARD]'))
      .map(withoutDescriptor)
      .sort()
  }

  /** One QMP command on a connection of its own. */
  async qmpCommand(execute: string, args: object = {}): Promise<unknown> {
    const socket = createConnection(this.qmp)
    socket.setTimeout(10_000, () => socket.destroy(new Error(`QMP gave no answer to ${execute}`)))
    try {
      socket.write(
        `${JSON.stringify({ execute: 'qmp_capabilities' })}\n${JSON.stringify({ execute, arguments: args, id: 1 })}\n`,
      )
      return await answerTo(socket)
    } finally {
      socket.destroy()
    }
  }

  /** Writes all that it is now into `file`, for a later start `from` it; it goes on running. */
  async save(file: string): Promise<void> {
    await this.qmpCommand('migrate', { uri: `exec:cat > ${file}` })
    await this.#until('query-migrate', 'completed')
    await this.qmpCommand('cont')
  }

  /** Resolves when its processor runs. */
  async running(): Promise<void> {
    await this.#until('query-status', 'running')
  }

  /** Asks again until the answer's `status` is that one. @throws where it is not within 20 s */
  async #until(question: string, wanted: string): Promise<void> {
    const began = performance.now()
    let answer: unknown
    while (performance.now() - began < 20_000) {
      answer = await this.qmpCommand(question).catch(String)
      const { status } = answer as { status?: string }
      if (status === wanted) return
      if (status === 'failed' || this.#child.exitCode !== null) break
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`${this.name} is not ${wanted}: ${JSON.stringify(answer)}\n${this.#console}`)
  }

  async ready(limitMs: number): Promise<void> {
    const started = Date.now()
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new Error(`the guest ${this.name} ${why}:\n${this.#console}`))
      const timer = setTimeout(() => fail(`was not up after ${Date.now() - started} ms`), limitMs)
      const look = (): void => {
        if (!this.#console.includes('naru guest ready')) return
        clearTimeout(timer)
        resolve()
      }
      this.#child.stdout?.on('data', look)
      this.#child.once('error', reject)
      this.#child.once('exit', (code) => {
        clearTimeout(timer)
        fail(`ended with ${code}`)
      })
    })
  }

  /** Ends QEMU, as pulling the plug would. */
  async stop(): Promise<void> {
    await end(this.#child)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** The descriptor's number says nothing of the forward, and is another after each change. */
function withoutDescriptor(line: string): string {
  return line
    .trim()
    .replace(/(\[HOST_FORWARD\])\s+\d+/, '$1')
    .replace(/\s+/g, ' ')
}

async function answerTo(socket: AsyncIterable<Buffer>): Promise<unknown> {
  let text = ''
  for await (const chunk of socket) {
    text += chunk.toString()
    for (const line of text.split('\n').slice(0, -1)) {
      const message = JSON.parse(line) as { id?: number; return?: unknown; error?: { desc: string } }
      if (message.error) throw new Error(`QMP: ${message.error.desc}`)
      if (message.id === 1) return message.return
    }
  }
  throw new Error('QMP closed without an answer')
}

interface NetworkArguments {
  readonly address: string
  readonly qemu: readonly string[]
  /** What the guest reads from its kernel's command line. */
  readonly kernel: string
}

function networkArguments(
  host: LabHost,
  { network = 'user', forwards = [] }: GuestOptions,
): NetworkArguments {
  if (network === 'user') {
    const netdev = ['user', 'id=n0', ...forwards.map((forward) => `hostfwd=${forward}`)].join(',')
    return {
      address: '10.0.2.15',
      qemu: ['-netdev', netdev, '-device', 'virtio-net-pci,netdev=n0,romfile='],
      kernel: 'naru.address=10.0.2.15/24 naru.gateway=10.0.2.2',
    }
  }
  const address = network.guestAddress.split('/')[0] as string
  const mac = network.mac ?? macOf(address)
  const tap = `tap${address.split('.').slice(2).join('x')}`
  layBridge(host, network, tap)
  return {
    address,
    qemu: words(
      `-netdev tap,id=n0,ifname=${tap},script=no,downscript=no -device virtio-net-pci,netdev=n0,mac=${mac},romfile=`,
    ),
    kernel: `naru.address=${network.guestAddress} naru.gateway=${network.hostAddress.split('/')[0]}`,
  }
}

function layBridge(host: LabHost, { bridge, hostAddress }: BridgeNetwork, tap: string): void {
  if (!host.ip('-o', 'link').includes(`: ${bridge}:`)) {
    host.ip('link', 'add', bridge, 'type', 'bridge', 'forward_delay', '0')
    host.ip('address', 'add', hostAddress, 'dev', bridge)
    host.ip('link', 'set', bridge, 'up')
  }
  if (!host.ip('-o', 'link').includes(`: ${tap}:`)) {
    host.ip('tuntap', 'add', tap, 'mode', 'tap')
    host.ip('link', 'set', tap, 'master', bridge)
    host.ip('link', 'set', tap, 'up')
  }
}

function words(line: string): string[] {
  return line.split(' ')
}

/** QEMU's own vendor prefix, and the address for the rest. */
function macOf(address: string): string {
  const [, ...tail] = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))
  return ['52', '54', '00', ...tail].join(':')
}
