/** A machine as it is told: every look answers what the test put there, and remembers what it was asked. */
import { say, verbatim } from '../../src/base/text.ts'
import { countsOf, type Diagnosis } from '../../src/model/diagnosis.ts'
import type { Finding } from '../../src/model/finding.ts'
import type { SentOn } from '../../src/model/firewall.ts'
import type { MachineApi } from '../../src/model/machine-api.ts'

export function finding(code: string, over: Partial<Finding> = {}): Finding {
  return {
    code,
    severity: 'blocks',
    hop: 'firewall',
    rule: 'iis',
    title: say('the firewall blocks the port', '방화벽이 포트를 막고 있음'),
    evidence: [verbatim('chain input { policy drop; }')],
    fixes: [
      {
        text: say('let Naru open it', 'Naru가 열게 하세요'),
        command: 'naru edit iis --firewall',
        ours: true,
      },
      { text: say('or by hand', '또는 직접'), command: 'sudo ufw allow 8888/tcp' },
    ],
    dependsOn: [],
    ...over,
  }
}

export function diagnosis(over: Partial<Diagnosis> = {}): Diagnosis {
  const whole = {
    verdict: null,
    summary: say('nothing blocks', '막힌 곳이 없습니다'),
    causes: [],
    folded: [],
    remarks: [],
    checks: [
      {
        code: 'host-firewall',
        hop: 'firewall',
        rule: 'iis',
        title: say('the firewall lets the port in', '방화벽 통과'),
        state: 'passed',
        problem: null,
        tookMs: 12,
      },
    ],
    tookMs: 1234,
    ...over,
  } satisfies Omit<Diagnosis, 'counts'>
  return { counts: countsOf(whole.checks), ...whole }
}

export class FakeMachine implements MachineApi {
  readonly calls: unknown[][] = []
  /** Somebody's NAT that takes a port. */
  sentOn: (SentOn & { readonly port: number }) | null = null
  /** Answered in turn; the last one stays. */
  diagnoses: Diagnosis[] = [diagnosis()]

  readonly addresses: MachineApi['addresses'] = async ({ signal: _signal, ...asked }) => {
    this.calls.push(['addresses', asked])
    return {
      interfaces: [
        {
          name: 'eth0',
          kind: 'ethernet',
          up: true,
          mac: '00:11:22:33:44:55',
          addresses: [
            { family: 4, address: '192.168.1.10', bits: 24, scope: 'private' },
            { family: 6, address: 'fe80::1', bits: 64, scope: 'link-local' },
          ],
          facesLan: true,
        },
        { name: 'eth1', kind: 'ethernet', up: false, mac: null, addresses: [], facesLan: false },
      ],
      gateways: [{ family: 4, address: '192.168.1.1', interface: 'eth0', source: '192.168.1.10' }],
      nameServers: ['192.168.1.1'],
      publicAddresses: [{ seenBy: 'router', by: 'upnp-2', address: '203.0.113.5', reachable: true }],
      routers: [
        {
          protocol: 'upnp-2',
          address: '192.168.1.1',
          model: 'RT-AX86U',
          maker: 'ASUS',
          page: 'http://192.168.1.1/',
          externalAddress: '203.0.113.5',
        },
      ],
      nat: 'one-router',
      natText: say('one router, with the public address 203.0.113.5', '공유기 한 대, 공인 주소 203.0.113.5'),
      notes: [say('no DNS over IPv6', 'IPv6 DNS 없음')],
    }
  }

  readonly ports: MachineApi['ports'] = async ({ signal: _signal, ...asked }) => {
    this.calls.push(['ports', asked])
    const row = { family: 4 as const, state: 'listening' as const, peer: null, bothFamilies: true }
    return {
      rows: [
        {
          ...row,
          protocol: 'tcp',
          address: '0.0.0.0',
          port: 80,
          service: 'http',
          process: { pid: 812, name: 'nginx' },
          reach: 'lan',
          belongsTo: null,
        },
        {
          ...row,
          protocol: 'tcp',
          address: '::1',
          port: 8888,
          service: null,
          process: null,
          reach: 'machine',
          belongsTo: { kind: 'rule', name: 'iis' },
        },
      ],
      unseen: say('run it with sudo', 'sudo로 실행하세요'),
    }
  }

  readonly router: MachineApi['router'] = {
    info: async () => {
      this.calls.push(['router.info'])
      return [
        {
          address: '192.168.1.1',
          family: 4,
          protocols: ['pcp', 'upnp-2'],
          model: 'RT-AX86U',
          maker: 'ASUS',
          page: 'http://192.168.1.1/',
          externalAddress: '203.0.113.5',
          uptimeSeconds: 90_000,
          above: 'public',
          aboveText: say('its address is public', '공인 주소를 가지고 있습니다'),
        },
      ]
    },
    list: async () => {
      this.calls.push(['router.list'])
      const entry = { router: '192.168.1.1', protocol: 'tcp' as const, enabled: true }
      return [
        {
          ...entry,
          externalPort: 8888,
          internalAddress: '192.168.1.10',
          internalPort: 8888,
          description: 'naru:iis',
          leaseSecondsLeft: 3600,
          rule: 'iis',
          here: true,
        },
        {
          ...entry,
          externalPort: 32400,
          internalAddress: '192.168.1.20',
          internalPort: 32400,
          description: 'Plex',
          leaseSecondsLeft: null,
          rule: null,
          here: false,
        },
      ]
    },
    add: async (wish) => {
      this.calls.push(['router.add', wish])
      return [
        {
          text: verbatim('203.0.113.5:8888 → 192.168.1.10:80/tcp'),
          externalAddress: '203.0.113.5',
          externalPort: 8888,
          notes: [say('for 1h, not 2h', '2h가 아니라 1h')],
        },
      ]
    },
    remove: async (key, { force }) => {
      this.calls.push(['router.remove', key, force])
    },
    check: async (wish) => {
      this.calls.push(['router.check', wish])
      return {
        state: 'wrong',
        evidence: [say('its list does not have 8888', '목록에 8888이 없습니다')],
        steps: {
          maker: 'asus',
          url: 'http://192.168.1.1/',
          path: say('WAN → Virtual Server', 'WAN → 가상 서버'),
          rows: [[{ label: say('External Port', '외부 포트'), value: '8888' }]],
          notes: [say('Press Apply', '적용을 누르세요')],
        },
      }
    },
  }

  readonly firewall: MachineApi['firewall'] = async () => {
    this.calls.push(['firewall'])
    return {
      why: say('ufw is active', 'ufw가 켜져 있음'),
      status: {
        member: 'ufw',
        active: true,
        defaultInput: 'block',
        open: [
          {
            protocol: 'tcp',
            ports: { first: 22, last: 22 },
            from: null,
            ours: null,
            text: '22/tcp ALLOW IN Anywhere',
          },
          {
            protocol: 'tcp',
            ports: { first: 8888, last: 8888 },
            from: '192.168.0.0/16',
            ours: 'iis',
            text: '8888/tcp ALLOW IN 192.168.0.0/16 # naru:iis',
          },
        ],
      },
    }
  }

  readonly admits: MachineApi['admits'] = async (question) => {
    this.calls.push(['admits', question])
    const blocked = question.port === 80
    const { sentOn } = this
    return {
      ...(sentOn?.port === question.port && { sentOn: { to: sentOn.to, by: sentOn.by } }),
      verdict: blocked ? 'blocked' : 'allowed',
      by: blocked ? 'policy drop' : '8888/tcp ALLOW IN',
      why: blocked
        ? say('no rule lets it in', '허용하는 규칙이 없습니다')
        : say('a rule lets it in', '규칙이 허용합니다'),
    }
  }

  readonly guests: MachineApi['guests'] = async () => {
    this.calls.push(['guests'])
    return {
      guests: [
        {
          kind: 'docker',
          name: 'web',
          id: 'abc',
          state: 'running',
          addresses: ['172.17.0.2'],
          forwards: [{ protocol: 'tcp', hostAddress: null, hostPort: 8080, guestPort: 80, ours: false }],
        },
        { kind: 'qemu', name: 'win10', id: '7', state: 'stopped', addresses: [], forwards: [] },
      ],
      kinds: [
        { kind: 'docker', here: true, listed: true, why: say('its socket answers', '소켓이 응답함') },
        {
          kind: 'vmware',
          here: false,
          listed: false,
          why: say('vmrun is not installed', 'vmrun이 설치되어 있지 않음'),
        },
      ],
    }
  }

  readonly neighbours: MachineApi['neighbours'] = async () => {
    this.calls.push(['neighbours'])
    return [{ address: '192.168.1.40', mac: '02:00:00:00:00:40', interface: 'eth0' }]
  }

  readonly diagnose: MachineApi['diagnose'] = async ({ signal: _signal, onEvent, ...asked }) => {
    this.calls.push(['diagnose', asked])
    const answer =
      this.diagnoses.length > 1 ? (this.diagnoses.shift() as Diagnosis) : (this.diagnoses[0] as Diagnosis)
    for (const outcome of answer.checks) {
      const { code, hop, rule, title } = outcome
      onEvent?.({ type: 'started', code, hop, rule, title })
      onEvent?.({ type: 'finished', outcome, findings: [] })
    }
    return answer
  }
}
