/** `naru up` under a real systemd, with no more of root's powers than the unit gives it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import type { RuleStatus } from '../../src/model/naru-api.ts'
import { built } from '../built.ts'
import { nftDefaultDrop, normalized } from '../lab/firewalls.ts'
import { Lab } from '../lab/namespaces.ts'
import { homeAddresses, homeNetwork, type Home } from '../lab/router.ts'
import { startSystemd, systemdNeeds, type LabSystemd } from '../lab/systemd.ts'
import { describeWith } from '../needs.ts'
import { OfferedLoad } from '../offered-load.ts'

const naru = join(import.meta.dirname, '../../bin/naru.mjs')
const file = '/etc/naru/naru.yaml'
const limit = { timeout: 30_000, interval: 500 }

/** Each firewall as its own boot script leaves it, and all that it keeps. */
const guards = [
  {
    name: 'nftables',
    commands: ['nft'],
    start: (systemd: LabSystemd) => void systemd.run(['nft', '-f', '-'], nftDefaultDrop()),
    keeps: ['nft', '-j', 'list', 'ruleset'],
  },
  {
    name: 'ufw',
    commands: ['ufw'],
    start: (systemd: LabSystemd): void => {
      systemd.run(['ufw', '--force', 'enable'])
      // The first reload completes chains that enabling leaves half filled (ufw 0.36.2, IPv6 limit).
      systemd.run(['ufw', 'reload'])
    },
    keeps: ['sh', '-c', 'cat /etc/ufw/*.rules; iptables-save; ip6tables-save'],
  },
  {
    name: 'firewalld',
    commands: ['firewalld', 'firewall-cmd', 'dbus-daemon'],
    start: (systemd: LabSystemd) => void systemd.run(['systemctl', 'start', 'dbus', 'firewalld']),
    keeps: ['sh', '-c', 'firewall-cmd --list-all; nft list ruleset'],
  },
] as const

describeWith(
  { ...systemdNeeds, commands: [...(systemdNeeds.commands ?? []), 'miniupnpd', 'busybox', 'curl'] },
  'naru as a service of systemd',
  () => {
    beforeAll(() => built(), 120_000)

    describe.each(guards)('behind $name', ({ name, start, keeps }) => {
      let scope: Scope
      let home: Home
      let systemd: LabSystemd
      let before: string

      beforeAll(async () => {
        scope = new Scope()
        home = scope.use(await homeNetwork(scope.use(new Lab())))
        // It has room for all that a busy machine lets wait: what is tried is who is turned away before it.
        const serve = `for (const port of [8081, 8082])
          require('node:http').createServer((_, answer) => answer.end('served')).listen({ port, host: '127.0.0.1', backlog: 4096 })`
        home.host.start([process.execPath, '-e', serve])
        systemd = scope.use(await startSystemd(home.host))
        start(systemd)
        before = everything()
      }, 90_000)
      afterAll(async () => scope[Symbol.asyncDispose]())

      const everything = (): string =>
        [normalized(systemd.run(keeps)), JSON.stringify(home.router.mappings())].join('\n')

      /** Asked for once; a machine that is busy gets the time it needs where the page is there. */
      function page(limitSeconds = 10): string {
        try {
          const url = `http://${homeAddresses.wan}:80/`
          return home.internet.run(['curl', '-s', '--max-time', String(limitSeconds), url]).trim()
        } catch {
          return 'nothing'
        }
      }

      function write(target: string): void {
        const rule = `{ listen: 80, target: "${target}", publish: { firewall: auto, router: auto } }`
        systemd.run(['sh', '-c', `mkdir -p /etc/naru && cat > ${file}`], `rules:\n  web: ${rule}\n`)
      }

      function rule(): RuleStatus | undefined {
        const { rules } = JSON.parse(systemd.run([process.execPath, naru, 'ls', '--json'])) as {
          rules: RuleStatus[]
        }
        return rules[0]
      }

      const service = (...words: string[]): string =>
        systemd.run(['sh', '-c', ['LANG=en', process.execPath, naru, 'service', ...words].join(' ')])

      const hops = (): string =>
        (rule()?.hops ?? [])
          .map(({ hop, member, state }) => (hop === 'firewall' ? `${member} ${state}` : `${hop} ${state}`))
          .sort()
          .join(', ')
      const allOpen = [`${name} ok`, 'relay ok', 'router ok', 'service ok'].sort().join(', ')

      it('starts from the unit that it writes', async () => {
        write('127.0.0.1:8081')
        expect(service('status', '||', 'true')).toMatch(/^not installed/)
        service('install')
        expect(systemd.run(['systemd-analyze', 'verify', 'naru.service'])).toBe('')
        expect(service('status')).toMatch(/^runs \(pid \d+\), starts with the machine: \/etc\/systemd/)
        await vi.waitFor(() => expect(hops()).toBe(allOpen), limit)
        expect(page()).toBe('served')
      }, 60_000)

      it('has three capabilities, and cannot get another', () => {
        const status = systemd.run(['cat', `/proc/${systemd.property('naru', 'MainPID')}/status`])
        const of = (key: string): string => new RegExp(`^${key}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? ''
        // CAP_NET_BIND_SERVICE is bit 10, CAP_NET_ADMIN bit 12, CAP_BPF bit 39: linux/capability.h.
        for (const set of ['CapEff', 'CapPrm', 'CapBnd', 'CapAmb']) expect(of(set)).toBe('0000008000001400')
        expect(of('NoNewPrivs')).toBe('1')
      })

      it('has little else of root: exposure 3.0 at most, as systemd-analyze counts', () => {
        const unit = '/etc/systemd/system/naru.service'
        systemd.run(['systemd-analyze', 'security', '--offline=true', '--threshold=30', unit])
      })

      it('writes nowhere but where its work is', () => {
        const inside = ['nsenter', '--target', systemd.property('naru', 'MainPID'), '--mount', '--']
        const write = (path: string): string => systemd.run([...inside, 'sh', '-c', `: >> ${path}`])
        for (const path of ['/run/x', '/etc/x', '/usr/x', '/var/lib/x', '/proc/sys/kernel/core_pattern'])
          expect(() => write(path), path).toThrow(/Read-only file system/)
        for (const path of ['/run/naru/x', '/var/lib/naru/x', '/etc/naru/x', '/run/xtables.lock']) write(path)
        systemd.run([...inside, 'rm', '/run/naru/x', '/var/lib/naru/x', '/etc/naru/x'])
        expect(systemd.run([...inside, 'ls', '/run/systemd/system'])).toBe('')
      })

      it('hands over when it is reloaded: its file is read anew, nobody is refused or cut', async () => {
        const before = systemd.property('naru', 'MainPID')
        const through = ['ip', 'netns', 'exec', home.internet.namespace]
        const to = { address: homeAddresses.wan, port: 80, request: 'GET / HTTP/1.0\\r\\n\\r\\n' }
        await using load = await OfferedLoad.begin(to, { perSecond: 400, seconds: 60, through })
        write('127.0.0.1:8082')
        systemd.run(['systemctl', 'reload', 'naru'])
        await vi.waitFor(() => expect(systemd.property('naru', 'MainPID')).not.toBe(before), limit)
        await vi.waitFor(() => expect(rule()?.targets).toEqual(['127.0.0.1:8082']), limit)
        const { offered, answered, ...others } = await load.stop()
        expect(answered, JSON.stringify(others)).toBe(offered)
        expect(offered).toBeGreaterThan(20)
        expect(systemd.property('naru', 'ActiveState')).toBe('active')
        await vi.waitFor(() => expect(hops()).toBe(allOpen), limit)
        expect(home.router.mappings()).toHaveLength(1)
      }, 90_000)

      it('goes on as it was where a reload cannot succeed, and the reload says so', () => {
        const before = systemd.property('naru', 'MainPID')
        const valid = systemd.run(['cat', file])
        systemd.run(['sh', '-c', `cat > ${file}`], 'rules: 1\n')
        expect(() => systemd.run(['systemctl', 'reload', 'naru'])).toThrow()
        systemd.run(['sh', '-c', `cat > ${file}`], valid)
        expect(systemd.property('naru', 'MainPID')).toBe(before)
        expect(systemd.property('naru', 'ActiveState')).toBe('active')
        expect(page()).toBe('served')
      }, 60_000)

      it('is started again after kill -9, and has nothing twice', async () => {
        const pid = systemd.property('naru', 'MainPID')
        systemd.run(['systemctl', 'kill', '-s', 'KILL', 'naru'])
        await vi.waitFor(() => {
          expect(systemd.property('naru', 'MainPID')).not.toMatch(new RegExp(`^(0|${pid})$`))
          expect(hops()).toBe(allOpen)
        }, limit)
        expect(page()).toBe('served')
        expect(home.router.mappings()).toHaveLength(1)
      }, 60_000)

      it('hands over to itself when it is installed again', async () => {
        const pid = systemd.property('naru', 'MainPID')
        service('install', '--api', 'off')
        await vi.waitFor(() => expect(systemd.property('naru', 'MainPID')).not.toBe(pid), limit)
        await vi.waitFor(() => expect(hops()).toBe(allOpen), limit)
        expect(page()).toBe('served')
      }, 60_000)

      it('leaves every hop as it was when it is taken away, and nothing of its own', () => {
        service('uninstall')
        expect(systemd.run(['sh', '-c', 'systemctl list-unit-files --no-legend "naru*" || true'])).toBe('')
        expect(service('status', '||', 'true')).toMatch(/^not installed/)
        expect(everything()).toBe(before)
        expect(page(2)).toBe('nothing')
      }, 60_000)
    })

    it('each engine carries within it, and the switches that the kernel’s needs are as before at its end', async () => {
      await using scope = new Scope()
      const home = scope.use(await homeNetwork(scope.use(new Lab())))
      const folder = mkdtempSync(join(tmpdir(), 'naru-service-'))
      scope.defer(() => rmSync(folder, { recursive: true, force: true }))
      writeFileSync(join(folder, 'index.html'), 'served')
      home.internet.start(['busybox', 'httpd', '-f', '-p', `${homeAddresses.internet}:8099`, '-h', folder])
      const systemd = scope.use(await startSystemd(home.host))
      const rules = ['kernel', 'splice', 'sockets'].map(
        (engine, at) =>
          `  ${engine}: { listen: "0.0.0.0:${8181 + at}", target: "${homeAddresses.internet}:8099", engine: ${engine} }\n`,
      )
      systemd.run(['sh', '-c', `mkdir -p /etc/naru && cat > ${file}`], `rules:\n${rules.join('')}`)
      const switches = 'grep . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/forwarding'
      const forwards = (): string => systemd.run(['sh', '-c', switches])
      const before = forwards()
      systemd.run([process.execPath, naru, 'service', 'install'])
      for (const port of [8181, 8182, 8183]) {
        const ask = ['curl', '-s', '--max-time', '5', `http://${homeAddresses.host}:${port}/`]
        await vi.waitFor(() => expect(home.router.host.run(ask)).toBe('served'), limit)
      }
      // An interface at a time: the machine's own switch stays the administrator's.
      expect(forwards()).not.toBe(before)
      expect(forwards()).toMatch(/\/conf\/\w+\/forwarding:1/)
      systemd.run(['systemctl', 'stop', 'naru'])
      expect(systemd.property('naru', 'Result')).toBe('success')
      expect(forwards()).toBe(before)
    }, 120_000)
  },
)
