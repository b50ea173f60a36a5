import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { firewalld } from '../../src/firewalls/linux/firewalld.ts'
import type { Lease } from '../../src/model/hop.ts'
import { conformance, request, Scene, signal } from '../conformance/firewall/suite.ts'
import { MemoryRecorder } from '../fakes/recorder.ts'
import { describeWith } from '../needs.ts'
import { firewalldFirewall, type LabFirewall } from './firewalls.ts'

const zone = 'my-home'

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'firewalld', 'dbus-daemon', 'nsenter'],
} as const

describeWith(needs, 'firewalld, running', () => {
  conformance({
    name: 'firewalld',
    slow: true,
    member: firewalld,
    async start(host) {
      const firewall = await firewalldFirewall(host)
      const permanently = (...words: string[]): string =>
        firewall.run(['firewall-cmd', '--permanent', ...words])
      // Not the default one, and named as people and NetworkManager do.
      permanently(`--new-zone=${zone}`)
      permanently(`--zone=${zone}`, '--add-interface=eth0')
      permanently(`--zone=${zone}`, '--add-rich-rule=rule family="ipv4" source address="10.66.0.0/16" drop')
      firewall.run(['firewall-cmd', '--reload'])
      return firewall
    },
    lose: (firewall) => void firewall.run(['firewall-cmd', '--reload']),
    block: (firewall, port) =>
      // The second one comes after ours and stands before it.
      void firewall.run([
        'firewall-cmd',
        `--zone=${zone}`,
        `--add-rich-rule=rule priority="${port === 8866 ? -100 : -32_000}" port port="${port}" protocol="tcp" drop`,
      ]),
    changes: /--add-rich-rule/,
    programs: 10,
    byHand: 'sudo firewall-cmd --zone=',
  })
})

describeWith(needs, 'zones of firewalld that change under an opening', () => {
  vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })
  let scene: Scene
  let firewall: LabFirewall
  const cmd = (...words: string[]): string => firewall.run(['firewall-cmd', ...words])
  const open = (port = 8888): Promise<Lease> =>
    firewalld.open(request(port), { host: firewall.host, signal: signal(), record: new MemoryRecorder() })
  const look = { signal: AbortSignal.timeout(600_000) }

  beforeEach(async () => {
    scene = new Scene()
    firewall = await firewalldFirewall(scene.inside)
  })
  afterEach(async () => {
    await firewall?.[Symbol.asyncDispose]()
    await scene?.[Symbol.asyncDispose]()
  })

  it.each([
    ['an interface goes to another zone', ['--zone=home', '--change-interface=eth0'], 'home'],
    ['another zone becomes the default one', ['--set-default-zone=work'], 'work'],
  ])('is opened anew where %s, and closed in that of before', async (_, change, zone) => {
    const lease = await open()
    cmd(...change)
    expect(await scene.reach('tcp', 8888)).not.toBe('in')
    expect(await lease.verify(look)).toMatchObject({ state: 'lost', why: { code: 'FIREWALL_LOST' } })
    await lease.renew(look)
    expect(await lease.verify(look)).toMatchObject({ state: 'held' })
    expect(await scene.reach('tcp', 8888)).toBe('in')
    expect(cmd('--zone=public', '--list-rich-rules')).toBe('\n')
    expect(cmd(`--zone=${zone}`, '--list-rich-rules')).toContain('8888')
    await lease.release(look)
    expect(cmd(`--zone=${zone}`, '--list-rich-rules')).toBe('\n')
  })

  it('stays closed in a zone that is shut, and is opened behind it', async () => {
    const deny = 'rule port port="8888" protocol="tcp" drop'
    cmd('--permanent', '--new-zone=mine')
    cmd('--permanent', '--zone=mine', '--set-target=DROP')
    cmd('--permanent', '--zone=dmz', `--add-rich-rule=${deny}`)
    cmd('--reload')
    const lease = await open()
    const shut = { code: 'FIREWALL_OVERRULED' }
    for (const zone of ['drop', 'block', 'mine', 'dmz']) {
      cmd(`--zone=${zone}`, '--change-interface=eth0')
      expect([zone, await lease.verify(look)]).toMatchObject([zone, { state: 'lost', why: shut }])
      await expect(lease.renew(look)).rejects.toMatchObject(shut)
      expect([zone, await scene.reach('tcp', 8888)]).not.toEqual([zone, 'in'])
    }
    cmd('--zone=home', '--change-interface=eth0')
    await lease.renew(look)
    expect(await scene.reach('tcp', 8888)).toBe('in')
    // Where a reload took ours along, what was shut before it is as shut.
    cmd('--permanent', '--zone=drop', '--change-interface=eth0')
    cmd('--reload')
    await expect(lease.renew(look)).rejects.toMatchObject(shut)
    expect(await scene.reach('tcp', 8888)).not.toBe('in')
    await lease.release(look)
  })

  it('a denial that came later is respected after a reload, too; one that was there is not', async () => {
    const deny = (port: number): void =>
      void cmd('--permanent', '--zone=public', `--add-rich-rule=rule port port="${port}" protocol="tcp" drop`)
    deny(8881)
    cmd('--reload')
    const [before, later] = await Promise.all([open(8881), open(8882)])
    deny(8882)
    cmd('--reload')
    await before.renew(look)
    await expect(later.renew(look)).rejects.toMatchObject({ code: 'FIREWALL_OVERRULED' })
    expect(await scene.reach('tcp', 8881)).toBe('in')
    expect(await scene.reach('tcp', 8882)).not.toBe('in')
    await Promise.all([before.release(look), later.release(look)])
  })

  it.each(['who may ask', 'who may not'])('by hand is opened where packets come in, by %s', async (who) => {
    cmd('--zone=home', '--change-interface=eth0')
    const host = who === 'who may ask' ? firewall.host : firewall.unprivileged
    const command = (await firewalld.byHand?.(request(8888), { host, signal: signal() })) ?? ''
    firewall.run(['sh', '-ec', command.replaceAll('sudo ', '')])
    expect(await scene.reach('tcp', 8888)).toBe('in')
    expect(cmd('--zone=public', '--list-rich-rules')).toBe('\n')
  })
})
