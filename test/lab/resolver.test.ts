/** Names as a real name server tells them, or does not: `relay/resolve` against dnsmasq in a network of its own. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { end, Lab, type LabHost } from './namespaces.ts'

interface Answer {
  readonly name: string
  readonly addresses?: readonly string[]
  readonly ttlMs?: number
  readonly why?: string
}

let lab: Lab
let host: LabHost
let folder: string
/** What is mounted over /etc/resolv.conf for whatever `ip netns exec` starts there. */
let etc: string
let hosts: string
let asker: Asker

/** Asks from within the lab, all with the same resolver. */
class Asker {
  readonly #child: ChildProcess
  readonly #waiting: [name: string, answered: (answer: Answer) => void][] = []

  constructor(from: LabHost) {
    const program = fileURLToPath(new URL('name-asker.mjs', import.meta.url))
    this.#child = from.start([process.execPath, program], { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })
    lines.on('line', (line) => this.#hear(JSON.parse(line) as Answer))
  }

  resolve(name: string): Promise<Answer> {
    this.#child.stdin?.write(`${name}\n`)
    return new Promise((resolve) => this.#waiting.push([name, resolve]))
  }

  async addressesOf(name: string): Promise<readonly string[]> {
    const { addresses, why } = await this.resolve(name)
    return addresses ?? [`none: ${why}`]
  }

  #hear(answer: Answer): void {
    const at = this.#waiting.findIndex(([name]) => name === answer.name)
    this.#waiting.splice(at, 1)[0]?.[1](answer)
  }
}

/** @returns once it answers. */
async function nameServer(...options: string[]): Promise<ChildProcess> {
  const own = ['--keep-in-foreground', '--no-resolv', '--no-hosts', '--conf-file=/dev/null', '--user=root']
  const where = ['--bind-interfaces', '--pid-file=', '--log-facility=-']
  const listens = options.some((option) => option.startsWith('--listen-address'))
  const child = host.start([
    'dnsmasq',
    ...own,
    ...where,
    ...(listens ? [] : ['--listen-address=127.0.0.1']),
    ...options,
  ])
  await once(child.stderr as NodeJS.ReadableStream, 'data')
  return child
}

/** A server that takes every query and says nothing. */
async function silentServer(address: string): Promise<void> {
  const program = `require('node:dgram').createSocket('udp4').bind(53, '${address}', () => console.log('ready'))`
  const child = host.start([process.execPath, '-e', program])
  await once(child.stdout as NodeJS.ReadableStream, 'data')
}

const inResolvConf = (...lines: string[]): void =>
  writeFileSync(join(etc, 'resolv.conf'), `${lines.join('\n')}\n`)

function freeze(child: ChildProcess, signal: 'SIGSTOP' | 'SIGCONT'): void {
  child.kill(signal)
}

describeWith(
  { root: true, platform: 'linux', commands: ['dnsmasq'] },
  'names from a real name server',
  () => {
    beforeAll(built)

    beforeEach(() => {
      lab = new Lab()
      host = lab.host('names')
      etc = join('/etc/netns', host.namespace)
      mkdirSync(etc, { recursive: true })
      inResolvConf('nameserver 127.0.0.1')
      folder = mkdtempSync(join(tmpdir(), 'naru-names-'))
      hosts = join(folder, 'hosts')
      writeFileSync(hosts, '10.0.0.1 moves.test\n')
      asker = new Asker(host)
    })

    afterEach(async () => {
      await lab[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
      rmSync(etc, { recursive: true, force: true })
    })

    it('hold for the TTL that it says, and no longer', async () => {
      const before = await nameServer(
        '--host-record=long.test,10.0.0.1,3600',
        '--host-record=short.test,10.0.0.1,1',
      )
      expect(await asker.addressesOf('long.test')).toEqual(['10.0.0.1'])
      expect(await asker.addressesOf('short.test')).toEqual(['10.0.0.1'])
      await end(before)
      await nameServer('--host-record=long.test,10.0.0.2,3600', '--host-record=short.test,10.0.0.2,1')
      await vi.waitFor(
        async () => expect(await asker.addressesOf('short.test')).toEqual(['10.0.0.2']),
        10_000,
      )
      expect(await asker.addressesOf('long.test')).toEqual(['10.0.0.1'])
    })

    it('go on with the last good answer at once while it is silent, and follow when it speaks again', async () => {
      const server = await nameServer(`--addn-hosts=${hosts}`, '--local-ttl=1')
      expect(await asker.addressesOf('moves.test')).toEqual(['10.0.0.1'])
      freeze(server, 'SIGSTOP')
      // An unknown name waits for the server as long as anybody does: the known one is long there by then.
      const order: string[] = []
      const unknown = asker.resolve('unknown.test').then(({ why }) => order.push(why ?? 'found'))
      for (let time = 0; time < 12; time++) {
        expect(await asker.addressesOf('moves.test')).toEqual(['10.0.0.1'])
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      order.push('the known one')
      await unknown
      expect(order).toEqual(['the known one', expect.stringContaining('the name server does not answer')])
      writeFileSync(hosts, '10.0.0.2 moves.test\n')
      freeze(server, 'SIGCONT')
      server.kill('SIGHUP')
      await vi.waitFor(
        async () => expect(await asker.addressesOf('moves.test')).toEqual(['10.0.0.2']),
        15_000,
      )
    })

    it('go on with the last good answer while it fails, and end where it says that there is none', async () => {
      const good = await nameServer('--host-record=a.test,10.0.0.1,1')
      expect(await asker.addressesOf('a.test')).toEqual(['10.0.0.1'])
      await end(good)
      // It knows nobody to ask.
      const failing = await nameServer()
      for (let time = 0; time < 15; time++) {
        expect(await asker.addressesOf('a.test')).toEqual(['10.0.0.1'])
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      expect((await asker.resolve('b.test')).why).toMatch(/the name server (refuses to answer|cannot say)/)
      await end(failing)
      await nameServer('--local=/test/')
      await vi.waitFor(
        async () => expect((await asker.resolve('a.test')).why).toContain('there is no such name'),
        15_000,
      )
    })

    it('tell a name that is not there from one without an address', async () => {
      await nameServer('--local=/test/', '--txt-record=text.test,hello')
      expect((await asker.resolve('nobody.test')).why).toContain('there is no such name')
      expect((await asker.resolve('text.test')).why).toContain('the name has no address')
    })

    it('are there as soon as one family is, however long the other takes', async () => {
      await silentServer('127.0.0.53')
      await nameServer('--server=/slow.test/127.0.0.53', '--host-record=half.slow.test,10.0.0.5')
      const whole = asker.resolve('none.slow.test')
      const first = await Promise.race([whole, asker.resolve('half.slow.test')])
      expect(first).toMatchObject({ name: 'half.slow.test', addresses: ['10.0.0.5'] })
      expect((await whole).why).toContain('the name server does not answer')
    })

    it('are asked of the second server where the first is dead', async () => {
      inResolvConf('nameserver 127.0.0.9', 'nameserver 127.0.0.1')
      await nameServer('--host-record=a.test,10.0.0.1,60', '--host-record=b.test,10.0.0.2,60')
      expect(await asker.addressesOf('a.test')).toEqual(['10.0.0.1'])
      // Nobody refuses any more: the first is waited for, and then the second is asked.
      await silentServer('127.0.0.9')
      expect(await asker.addressesOf('b.test')).toEqual(['10.0.0.2'])
    })

    it('are found in the search domains', async () => {
      inResolvConf('nameserver 127.0.0.1', 'search lan.test')
      await nameServer('--local=/test/', '--local=//', '--host-record=printer.lan.test,10.0.0.7,60')
      expect(await asker.addressesOf('printer')).toEqual(['10.0.0.7'])
    })

    it('come whole where an answer does not fit into a datagram', async () => {
      const all = Array.from({ length: 300 }, (_, at) => `10.1.${at >> 8}.${at & 255}`)
      writeFileSync(hosts, all.map((address) => `${address} many.test\n`).join(''))
      await nameServer(`--addn-hosts=${hosts}`, '--local=/test/')
      expect([...(await asker.addressesOf('many.test'))].toSorted()).toEqual(all.toSorted())
    })
  },
)
