import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportRules, importRules } from '../../src/formats/index.ts'
import type { ExportFormat } from '../../src/model/import-export.ts'
import type { RuleInput } from '../../src/model/naru-api.ts'
import { formatRule } from '../../src/model/rule-format.ts'
import { parseRule } from '../../src/model/rule-file.ts'
import { describeWith, findCommand } from '../needs.ts'
import { end, Lab, type LabHost } from './namespaces.ts'

const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so'
/** The service answers with the address that it sees. */
const service = `require('node:http').createServer((asked, answer) => {
  answer.setHeader('connection', 'close')
  answer.end('served ' + asked.socket.remoteAddress.replace('::ffff:', ''))
}).listen(80, '::')`

const everything: Record<string, RuleInput> = {
  web: { listen: 8888, target: '10.81.0.2:80' },
  guarded: {
    listen: '5300/tcp+udp',
    target: '10.81.0.2:53',
    allow: ['10.0.0.0/8', 'fd00::/8'],
    deny: ['10.1.0.0/16', '10.1.2.3'],
  },
  'range.x-1': { listen: '0.0.0.0:8000-8010', target: '10.81.0.2:8000-8010', source: 'keep' },
  moved: { listen: '0.0.0.0:9000-9002/tcp+udp', target: '10.81.0.2:9100-9102', deny: '10.9.0.0/16' },
  six: { listen: '[::]:8081', target: '[fd81::2]:80', allow: 'fd00::/8' },
  here: { listen: '10.80.0.1:8082', target: 8083 },
  heres: { listen: '10.80.0.1:8084-8086', target: '127.0.0.1:9084-9086' },
  many: { listen: 7000, targets: [{ to: '10.81.0.2:80', weight: 2 }, '10.81.0.3:81'] },
  hash: { listen: 7001, targets: ['10.81.0.2:80', '10.81.0.3:81'], balance: 'source-hash' },
  checked: {
    listen: 7002,
    targets: [{ to: '10.81.0.2:80' }, { to: '10.81.0.3:81', backup: true }],
    balance: 'least-connections',
    health: { every: '2s', rise: 2, fall: 3 },
  },
  busy: {
    listen: 7003,
    target: '10.81.0.2:80',
    limits: { connections: 10, perSource: 5, newPerSecond: 20 },
    timeouts: { connect: '2s', idle: '90s', keepalive: '30s' },
  },
  names: {
    listen: 7443,
    targets: [
      { to: '10.81.0.2:443', name: 'a.example.org' },
      { to: '10.81.0.3:443', name: '*.example.org' },
      { to: '10.81.0.2:8443' },
    ],
  },
  told: { listen: 7004, target: '10.81.0.2:80', source: 'proxy-v1' },
  told2: { listen: 7005, target: '10.81.0.2:80', source: 'proxy-v2' },
  trusting: { listen: 7006, target: '10.81.0.2:80', acceptProxy: '10.80.0.0/24' },
  socket: { listen: 'unix:/tmp/naru-formats.sock', target: '10.81.0.2:80' },
}

const exported = (format: ExportFormat, rules: Record<string, RuleInput>): string =>
  exportRules(
    format,
    Object.entries(rules).map(([name, rule]) => parseRule(name, rule)),
  ).text

const imported = (text: string): Record<string, RuleInput> =>
  Object.fromEntries(importRules(text).rules.map(({ name, rule }) => [name, rule]))

describeWith(
  {
    root: true,
    platform: 'linux',
    commands: ['ip', 'nft', 'iptables-restore', 'ip6tables-restore', 'haproxy', 'nginx', 'socat', 'curl'],
    files: [streamModule],
  },
  'exported rules, in the programs themselves',
  () => {
    let lab: Lab
    let client: LabHost
    let middle: LabHost
    let server: LabHost
    const folder = mkdtempSync(join(tmpdir(), 'naru-formats-'))

    beforeAll(async () => {
      lab = new Lab()
      client = lab.host('client')
      middle = lab.host('middle')
      server = lab.host('server')
      lab.cable(
        { host: client, interface: 'eth0', addresses: ['10.80.0.2/24', '10.80.0.66/24', 'fd80::2/64'] },
        { host: middle, interface: 'lan', addresses: ['10.80.0.1/24', 'fd80::1/64'] },
      )
      lab.cable(
        { host: middle, interface: 'dmz', addresses: ['10.81.0.1/24', 'fd81::1/64'] },
        { host: server, interface: 'eth0', addresses: ['10.81.0.2/24', '10.81.0.3/24', 'fd81::2/64'] },
      )
      client.ip('route', 'add', 'default', 'via', '10.80.0.1')
      server.ip('route', 'add', 'default', 'via', '10.81.0.1')
      middle.sysctl('net/ipv4/ip_forward', '1')
      middle.sysctl('net/ipv6/conf/all/forwarding', '1')
      server.start([process.execPath, '-e', service])
      await until(() => ask(middle, 'http://[fd81::2]/').startsWith('served'))
      await until(() => ask(middle, 'http://10.81.0.2/').startsWith('served'))
    }, 60_000)

    afterAll(async () => {
      await lab[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    })

    const file = (name: string, text: string): string => {
      const path = join(folder, name)
      writeFileSync(path, text)
      return path
    }
    const nginxFile = (name: string, stream: string): string =>
      file(
        name,
        `load_module ${streamModule};\ndaemon off;\nmaster_process off;\npid ${folder}/${name}.pid;\nerror_log stderr;\nevents { }\n${stream}`,
      )

    describe('are accepted', () => {
      it('by nft -c -f', () => {
        middle.run(['nft', '-c', '-f', file('all.nft', exported('nft', everything))])
      })

      it('by iptables-restore and ip6tables-restore --test, from one file', () => {
        const path = file('all.iptables', exported('iptables', everything))
        middle.run(['iptables-restore', '--noflush', '--test', path])
        middle.run(['ip6tables-restore', '--noflush', '--test', path])
      })

      it('by haproxy -c', () => {
        middle.run(['haproxy', '-c', '-f', file('all.cfg', exported('haproxy', everything))])
      })

      it('by nginx -t', () => {
        const path = nginxFile('all.conf', exported('nginx', everything))
        middle.run(['nginx', '-t', '-q', '-e', 'stderr', '-c', path])
      })
    })

    const guarded: Record<string, RuleInput> = {
      open: { listen: 8888, target: '10.81.0.2:80' },
      guarded: { listen: 8889, target: '10.81.0.2:80', allow: '10.80.0.0/24', deny: '10.80.0.66' },
    }
    const expectGuarded = (address = '10.81.0.1'): void => {
      expect(ask(client, 'http://10.80.0.1:8888/')).toBe(`served ${address}`)
      expect(ask(client, 'http://10.80.0.1:8889/', '10.80.0.2')).toBe(`served ${address}`)
      expect(ask(client, 'http://10.80.0.1:8889/', '10.80.0.66')).not.toContain('served')
    }

    it('forward in nftables, loaded twice, with our address or the client’s', () => {
      const kept = { listen: '0.0.0.0:8890', target: '10.81.0.2:80', source: 'keep' }
      const moved = { listen: '0.0.0.0:8900-8902', target: '10.81.0.2:79-81' }
      const spread = { listen: 8903, targets: ['10.81.0.2:80', '10.81.0.3:80'] }
      const six = { listen: '[::]:8904', target: '[fd81::2]:80' }
      const path = file('run.nft', exported('nft', { ...guarded, kept, moved, spread, six }))
      middle.run(['nft', '-f', path])
      middle.run(['nft', '-f', path])
      try {
        expectGuarded()
        expect(ask(client, 'http://10.80.0.1:8890/')).toBe('served 10.80.0.2')
        expect(ask(client, 'http://10.80.0.1:8901/')).toBe('served 10.81.0.1')
        expect(ask(client, 'http://10.80.0.1:8903/')).toBe('served 10.81.0.1')
        expect(ask(client, 'http://10.80.0.1:8903/')).toBe('served 10.81.0.1')
        expect(ask(client, 'http://[fd80::1]:8904/')).toBe('served fd81::1')
      } finally {
        middle.run(['nft', 'delete', 'table', 'inet', 'naru_export'])
      }
    })

    it('forward in iptables, and iptables-save gives the same rules back', () => {
      const rules = { ...guarded, kept: { listen: '0.0.0.0:8890', target: '10.81.0.2:80', source: 'keep' } }
      middle.run(['iptables-restore', '--noflush', file('run.iptables', exported('iptables', rules))])
      try {
        expectGuarded()
        expect(ask(client, 'http://10.80.0.1:8890/')).toBe('served 10.80.0.2')
        expect(imported(middle.run(['iptables-save']))).toEqual({
          open: { listen: '0.0.0.0:8888', target: '10.81.0.2:80', source: 'relay' },
          guarded: {
            listen: '0.0.0.0:8889',
            target: '10.81.0.2:80',
            allow: ['10.80.0.0/24'],
            deny: ['10.80.0.66'],
            source: 'relay',
          },
          kept: { listen: '0.0.0.0:8890', target: '10.81.0.2:80', source: 'keep' },
        })
      } finally {
        for (const table of ['nat', 'mangle']) middle.run(['iptables', '-t', table, '-F'])
      }
    })

    it.each(['iptables-save', 'iptables-legacy-save'])(
      '%s of what Docker and a router make is read',
      (save) => {
        if (!findCommand(save)) return
        const iptables = save.replace('-save', '')
        const lines = [
          '-N DOCKER',
          '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
          '-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER',
          '-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
          '-A DOCKER -i docker0 -j RETURN',
          '-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80',
          '-A PREROUTING -i wan -p udp -m udp --dport 27015:27020 -j DNAT --to-destination 192.168.1.9',
          '-A PREROUTING -d 203.0.113.5/32 -p tcp -m multiport --dports 80,443 -j DNAT --to-destination 192.168.1.5',
        ]
        for (const line of lines) middle.run([iptables, '-t', 'nat', ...line.split(' ')])
        try {
          const { rules, losses, format } = importRules(middle.run([save]))
          expect(format).toBe('iptables')
          expect(Object.fromEntries(rules.map(({ name, rule }) => [name, rule]))).toEqual({
            'port-8080': {
              listen: '0.0.0.0:8080',
              target: '172.17.0.2:80',
              deny: ['172.17.0.0/16'],
              source: 'keep',
            },
            'port-27015-27020-udp': {
              listen: '0.0.0.0:27015-27020/udp',
              target: '192.168.1.9:27015-27020',
              source: 'keep',
              enabled: false,
            },
            'port-80': { listen: '203.0.113.5:80', target: '192.168.1.5:80', source: 'keep' },
            'port-443': { listen: '203.0.113.5:443', target: '192.168.1.5:443', source: 'keep' },
          })
          const off = losses.filter(({ leftOut }) => leftOut)
          expect(off.map(({ rule, what }) => [rule, what.includes('-i wan')])).toEqual([
            ['port-27015-27020-udp', true],
          ])
        } finally {
          middle.run([iptables, '-t', 'nat', '-F'])
          middle.run([iptables, '-t', 'nat', '-X'])
        }
      },
    )

    it('forward in a running haproxy', async () => {
      const child = middle.start(['haproxy', '-db', '-f', file('run.cfg', exported('haproxy', guarded))])
      await until(() => ask(client, 'http://10.80.0.1:8888/').startsWith('served'))
      expectGuarded()
      await end(child)
    }, 30_000)

    it('forward in a running nginx', async () => {
      const path = nginxFile('run.conf', exported('nginx', guarded))
      const child = middle.start(['nginx', '-e', 'stderr', '-c', path])
      await until(() => ask(client, 'http://10.80.0.1:8888/').startsWith('served'))
      expectGuarded()
      await end(child)
    }, 30_000)

    it('forward in the socats of the script, which end with it', async () => {
      const rules = {
        open: { listen: 8888, target: '10.81.0.2:80' },
        allowed: { listen: 8889, target: '10.81.0.2:80', allow: '10.80.0.2' },
      }
      const child = middle.start(['sh', file('run.sh', exported('socat', rules))])
      await until(() => ask(client, 'http://10.80.0.1:8888/').startsWith('served'))
      expect(ask(client, 'http://[fd80::1]:8888/')).toBe('served 10.81.0.1')
      await until(() => ask(client, 'http://10.80.0.1:8889/', '10.80.0.2') === 'served 10.81.0.1')
      expect(ask(client, 'http://10.80.0.1:8889/', '10.80.0.66')).not.toContain('served')
      await end(child)
      await until(() => ask(client, 'http://10.80.0.1:8888/') === '')
    }, 30_000)

    it('come back from what haproxy and nginx were given', () => {
      for (const format of ['haproxy', 'nginx'] as const) {
        const back = imported(exported(format, everything))
        for (const [name, rule] of Object.entries(back))
          if (name !== 'guarded' && name !== 'busy' && name !== 'checked' && name !== 'moved')
            expect([format, name, rule]).toEqual([
              format,
              name,
              formatRule(parseRule(name, everything[name] as RuleInput)),
            ])
      }
    })
  },
)

/** What the service answered; empty where nobody did. */
function ask(host: LabHost, url: string, from?: string): string {
  try {
    const bound = from === undefined ? [] : ['--interface', from]
    return host.run(['curl', '-sS', '--noproxy', '*', '-m', '2', ...bound, '-g', url])
  } catch {
    return ''
  }
}

async function until(holds: () => boolean): Promise<void> {
  const limit = performance.now() + 20_000
  while (!holds()) {
    if (performance.now() > limit) throw new Error('it never came true')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
