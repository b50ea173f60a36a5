/** The Debian package on a machine with systemd: installed, upgraded under load, upgraded by half, and taken away. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import type { RuleStatus } from '../../src/model/naru-api.ts'
import { built } from '../built.ts'
import { nftDefaultDrop, normalized } from '../lab/firewalls.ts'
import { Lab } from '../lab/namespaces.ts'
import { homeAddresses, homeNetwork, type Home } from '../lab/router.ts'
import { startSystemd, systemdNeeds, type LabSystemd } from '../lab/systemd.ts'
import { describeWith } from '../needs.ts'
import { OfferedLoad } from '../offered-load.ts'

interface Packaging {
  readonly deb: (options: Readonly<Record<string, unknown>>) => Promise<void>
}

const root = join(import.meta.dirname, '../..')
const file = '/etc/naru/naru.yaml'
/** Where a service sees the program: this checkout may lie in /tmp, which a service has for itself. */
const elsewhere = '/opt/program'
const limit = { timeout: 30_000, interval: 250 }

const commands = ['apt-get', 'dpkg', 'dpkg-deb', 'deb-systemd-helper', 'miniupnpd', 'nft', 'curl']

describeWith(
  { ...systemdNeeds, commands: [...(systemdNeeds.commands ?? []), ...commands] },
  'the Debian package on a machine',
  () => {
    // Where the machine of the lab sees it, which has a /tmp of its own.
    const folder = mkdtempSync(join(root, 'node_modules/.naru-deb-'))
    const scope = new Scope()
    let home: Home
    let systemd: LabSystemd
    let before: string

    const at = (version: string): string => join(folder, `naru_${version}.deb`)
    const shell = (script: string): string => systemd.run(['sh', '-c', script])
    const everything = (): string =>
      [
        normalized(systemd.run(['nft', '-j', 'list', 'ruleset'])),
        JSON.stringify(home.router.mappings()),
      ].join('\n')
    const pid = (): string => systemd.property('naru', 'MainPID')
    const version = (): string => shell("dpkg-query -W -f '${Status} ${Version}' naru")
    /** The program as a person meets it. */
    const naru = (words: string): string => shell(`LANG=C naru ${words}`)
    const hops = (): string => {
      const { rules } = JSON.parse(naru('ls --json')) as { rules: RuleStatus[] }
      return (rules[0]?.hops ?? [])
        .map(({ hop, state }) => `${hop} ${state}`)
        .sort()
        .join(', ')
    }
    const allOpen = 'firewall ok, relay ok, router ok, service ok'

    beforeAll(async () => {
      await built()
      const { deb } = (await import(join(root, 'packaging/deb.mjs'))) as Packaging
      const program = join(folder, 'naru')
      // In place of the one file, which takes a minute to make: a release is tried with it.
      if (process.env.NARU_RELEASE === '1')
        execFileSync(process.execPath, [join(root, 'packaging/one-file.mjs'), 'linux-x64', program])
      else
        writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} ${elsewhere}/bin/naru.mjs "$@"\n`, {
          mode: 0o755,
        })
      const broken = join(folder, 'broken')
      writeFileSync(broken, '#!/bin/sh\nexit 1\n', { mode: 0o755 })
      const given = {
        target: 'linux-x64',
        program,
        licences: 'MIT',
        maintainer: 'A <a@example.org>',
        seconds: 1_700_000_000,
      }
      for (const more of [
        { version: '1.0.0' },
        { version: '1.0.1' },
        { version: '1.0.2', program: broken },
        { version: '1.0.3', target: 'linux-arm64' },
        { version: '1.0.4' },
      ])
        await deb({ ...given, ...more, file: at(more.version) })
      const whole = readFileSync(at('1.0.1'))
      writeFileSync(at('half'), whole.subarray(0, whole.length / 2))

      home = scope.use(await homeNetwork(scope.use(new Lab())))
      const serve = `require('node:http').createServer((_, answer) => answer.end('served')).listen({ port: 8081, host: '127.0.0.1', backlog: 4096 })`
      home.host.start([process.execPath, '-e', serve])
      systemd = scope.use(await startSystemd(home.host))
      // Machines that are containers forbid packages to start services.
      shell('rm -f /usr/sbin/policy-rc.d')
      const inside = 'bin dist locales package.json web/dist node_modules/koffi node_modules/@koromix'
      shell(`mkdir ${elsewhere} && cd ${root} && cp --parents -r ${inside} ${elsewhere}`)
      systemd.run(['nft', '-f', '-'], nftDefaultDrop())
      before = everything()
    }, 240_000)
    afterAll(async () => {
      await scope[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    })

    function page(limitSeconds = 10): string {
      try {
        const url = `http://${homeAddresses.wan}:80/`
        return home.internet.run(['curl', '-s', '--max-time', String(limitSeconds), url]).trim()
      } catch {
        return 'nothing'
      }
    }

    it('is a service that runs, from one command, and opens nothing that nobody asked for', () => {
      shell(`DEBIAN_FRONTEND=noninteractive apt-get install -y ${at('1.0.0')}`)
      expect(version()).toBe('install ok installed 1.0.0')
      expect(systemd.property('naru', 'ActiveState')).toBe('active')
      expect(shell('systemctl is-enabled naru')).toBe('enabled\n')
      expect(everything()).toBe(before)
      expect(JSON.parse(naru('ls --json'))).toMatchObject({ rules: [] })
    }, 120_000)

    it('takes the first rule by `naru add`', async () => {
      naru('add web 80 127.0.0.1:8081 --publish')
      await vi.waitFor(() => expect(hops()).toBe(allOpen), limit)
      expect(page()).toBe('served')
    }, 120_000)

    it('is upgraded without a connection that is refused or cut, and keeps the rules', async () => {
      const former = pid()
      const through = ['ip', 'netns', 'exec', home.internet.namespace]
      const to = { address: homeAddresses.wan, port: 80, request: 'GET / HTTP/1.0\\r\\n\\r\\n' }
      await using load = await OfferedLoad.begin(to, { perSecond: 200, seconds: 60, through })
      shell(`DEBIAN_FRONTEND=noninteractive apt-get install -y ${at('1.0.1')}`)
      await vi.waitFor(() => expect(pid()).not.toBe(former), limit)
      await vi.waitFor(() => expect(hops()).toBe(allOpen), limit)
      const { offered, answered, ...others } = await load.stop()
      expect(answered, JSON.stringify(others)).toBe(offered)
      expect(version()).toBe('install ok installed 1.0.1')
      expect(home.router.mappings()).toHaveLength(1)
    }, 90_000)

    it.each([
      ['a file that did not come whole', 'half', /unexpected end of file|corrupted/],
      ['a package for another kind of machine', '1.0.3', /does not match system/],
    ])('goes on as it was with %s', (_, which, why) => {
      const former = pid()
      expect(shell(`dpkg -i ${at(which)} 2>&1 && echo installed || true`)).toMatch(why)
      expect([pid(), version(), page()]).toEqual([former, 'install ok installed 1.0.1', 'served'])
    })

    it('goes on with the old process where the new program does not start', () => {
      const former = pid()
      shell(`dpkg -i ${at('1.0.2')}`)
      expect([pid(), page()]).toEqual([former, 'served'])
    })

    it('goes on where an upgrade was cut off in its midst, and is whole after the next one', async () => {
      const former = pid()
      shell(`dpkg --unpack ${at('1.0.4')}`)
      expect([pid(), page()]).toEqual([former, 'served'])
      shell('dpkg --configure -a')
      await vi.waitFor(() => expect(pid()).not.toBe(former), limit)
      await vi.waitFor(() => expect(hops()).toBe(allOpen), limit)
      expect(version()).toBe('install ok installed 1.0.4')
    }, 120_000)

    it('undoes what it opened when it is removed, and keeps what a person wrote', () => {
      shell('DEBIAN_FRONTEND=noninteractive apt-get remove -y naru')
      expect(everything()).toBe(before)
      expect(page(2)).toBe('nothing')
      expect(shell(`cat ${file}`)).toContain('127.0.0.1:8081')
    }, 120_000)

    it('leaves nothing when it is purged', () => {
      shell('DEBIAN_FRONTEND=noninteractive apt-get purge -y naru')
      expect(
        shell(
          'find /etc /lib/systemd /run /usr/bin /usr/share /var/lib -xdev -path "*naru*" -not -path "/usr/share/*/doc/*" 2>/dev/null || true',
        ),
      ).toBe('')
      expect(shell('systemctl list-unit-files --no-legend "naru*" || true')).toBe('')
    }, 120_000)
  },
)
