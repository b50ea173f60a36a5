/** The container image, made from nothing, under Podman: for a user without rights, and as the machine's own network. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { nftDefaultDrop, normalized } from './firewalls.ts'
import { GuestLab } from './guest-lab.ts'
import { LabPodman, rootlessNeeds } from './podman.ts'

interface Packaging {
  readonly image: (file: string, options: { readonly seconds: number }) => Promise<void>
}

const needs = {
  ...rootlessNeeds,
  commands: [...(rootlessNeeds.commands ?? []), 'strip', 'apt-get', 'docker-compose', 'nft'],
}

describeWith(needs, 'the container image', () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-image-'))
  const archive = join(folder, 'naru.tar')
  let lab: GuestLab
  let engine: LabPodman

  beforeAll(async () => {
    await built()
    // The user of the lab looks in.
    chmodSync(folder, 0o755)
    const path = join(import.meta.dirname, '../../packaging/image.mjs')
    const { image } = (await import(path)) as Packaging
    await image(archive, { seconds: 1_700_000_000 })
  }, 300_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** A folder with that rules file, for the container. */
  function rules(name: string, text: string): string {
    const place = join(folder, name)
    mkdirSync(place)
    writeFileSync(join(place, 'naru.yaml'), text)
    return `${place}:/etc/naru:ro`
  }

  async function start(who: 'root' | 'user'): Promise<void> {
    lab = new GuestLab()
    engine = await LabPodman.start(lab.machine, who)
    engine.podman('load', '--input', archive)
  }

  async function end(): Promise<void> {
    await engine[Symbol.asyncDispose]()
    await lab[Symbol.asyncDispose]()
  }

  it('is small', () => {
    expect(statSync(archive).size / 1024 / 1024).toBeLessThanOrEqual(120)
  })

  describe('for a user without rights', () => {
    beforeAll(() => start('user'), 90_000)
    afterAll(end, 60_000)

    it('relays to a service beside it, says that it is well, and ends in order', async () => {
      engine.podman(
        'pod',
        'create',
        '--name',
        'site',
        '--infra-image',
        'localhost/naru-lab:1',
        '--infra-command',
        '/bin/sleep 600',
        '-p',
        '8080:8080',
      )
      engine.run('web', ['--pod', 'site'])
      const mount = rules('user', 'rules: { web: { listen: 8080, target: "127.0.0.1:80" } }\n')
      engine.podman(
        'run',
        '-d',
        '--pod',
        'site',
        '--name',
        'naru',
        '--read-only',
        '--cap-drop',
        'all',
        '-v',
        mount,
        'naru',
      )
      await lab.until(8080, 'web')
      engine.podman('healthcheck', 'run', 'naru')
      engine.podman('stop', '--time', '8', 'naru')
      expect(engine.podman('inspect', '--format', '{{.State.ExitCode}}', 'naru')).toBe('0')
      expect(await lab.page(8080)).toBe('')
    }, 60_000)
  })

  describe('as root', () => {
    beforeAll(() => start('root'), 90_000)
    afterAll(end, 60_000)
    const ruleset = (): string => normalized(lab.machine.run(['nft', '-j', 'list', 'ruleset']))

    it('opens its machine’s firewall where it may, and closes it again', async () => {
      lab.machine.run(['nft', '-f', '-'], { input: nftDefaultDrop() })
      engine.run('web', ['--network', 'host'], 8055)
      const before = ruleset()
      const mount = rules(
        'host',
        'rules: { web: { listen: 8081, target: "127.0.0.1:8055", publish: { firewall: auto } } }\n',
      )
      expect(await lab.page(8081)).toBe('')
      engine.podman(
        'run',
        '-d',
        '--network',
        'host',
        '--cap-add',
        'NET_ADMIN',
        '--name',
        'naru',
        '-v',
        mount,
        'naru',
      )
      await lab.until(8081, 'web')
      engine.podman('stop', '--time', '8', 'naru')
      expect(engine.podman('inspect', '--format', '{{.State.ExitCode}}', 'naru')).toBe('0')
      expect(ruleset()).toBe(before)
      lab.machine.run(['nft', 'flush', 'ruleset'])
    }, 60_000)

    it('stands before the other services of a Compose file', async () => {
      const place = join(folder, 'compose')
      execFileSync('cp', ['-r', join(import.meta.dirname, '../../examples/container'), place])
      // In place of nginx, which nobody pulls here.
      engine.podman('tag', 'localhost/naru-lab:1', 'docker.io/library/nginx:alpine')
      engine.podman('tag', 'naru:latest', 'docker.io/library/naru:latest')
      const served = {
        stop_grace_period: '1s',
        command: ['/bin/sh', '-c', 'echo composed > /www/index.html; exec httpd -f -p 80 -h /www'],
      }
      writeFileSync(join(place, 'served.json'), JSON.stringify({ version: '2.4', services: { web: served } }))
      const compose = (...words: string[]): string =>
        execFileSync('docker-compose', ['-f', 'compose.yaml', '-f', 'served.json', ...words], {
          cwd: place,
          encoding: 'utf8',
          timeout: 60_000,
          stdio: ['ignore', 'pipe', 'pipe'],
          env: { PATH: process.env.PATH, HOME: folder, DOCKER_HOST: engine.url },
        })
      compose('up', '-d')
      await lab.until(8080, 'composed')
      compose('down')
      expect(await lab.page(8080)).toBe('')
    }, 120_000)
  })
})
