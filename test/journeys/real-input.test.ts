/** The main job on real input: nginx to curl and a browser, a DNS query, and datagrams of WireGuard's size. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { end } from '../lab/namespaces.ts'
import { describeWith } from '../needs.ts'

const run = promisify(execFile)

describeWith(
  { root: true, commands: ['nginx', 'curl', 'chromium', 'dnsmasq', 'dig'] },
  'what people really forward',
  () => {
    const children: ChildProcess[] = []
    let folder: string

    beforeAll(async () => {
      await built()
      folder = await mkdtemp(join(tmpdir(), 'naru-real-'))
    }, 120_000)

    afterAll(async () => {
      await Promise.all(children.map(end))
      await rm(folder, { recursive: true, force: true })
    })

    async function start(command: string, args: string[], port: number | null): Promise<ChildProcess> {
      const child = spawn(command, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, NARU_STATE: join(folder, 'state') },
      })
      children.push(child)
      child.stdout?.resume()
      child.stderr?.resume()
      if (port !== null)
        await vi.waitFor(
          () => run('curl', ['-s', '-o', '/dev/null', '--max-time', '2', `http://127.0.0.1:${port}/`]),
          { timeout: 15_000, interval: 100 },
        )
      return child
    }

    const open = (listen: string, target: string, tcpPort: number | null): Promise<ChildProcess> =>
      start(process.execPath, ['dist/main.js', 'open', listen, target, '--engine', 'auto'], tcpPort)

    it('nginx’s page reaches curl and a browser', { timeout: 90_000 }, async () => {
      const [web, port] = [await freePort(), await freePort()]
      const big = randomBytes(20_000_000)
      await mkdir(join(folder, 'www'))
      await writeFile(
        join(folder, 'www/index.html'),
        '<!doctype html><title>ferry</title><p id="p">…</p><script>document.getElementById("p").textContent = "carried " + 6 * 7</script>',
      )
      await writeFile(join(folder, 'www/big'), big)
      await writeFile(
        join(folder, 'nginx.conf'),
        `daemon off; user root; pid ${folder}/pid; error_log ${folder}/log; events {} http { access_log off; server { listen 127.0.0.1:${web}; root ${folder}/www; } }`,
      )
      await start('nginx', ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'log')], web)
      const naru = await open(`127.0.0.1:${port}`, `127.0.0.1:${web}`, port)
      const { stdout } = await run('curl', ['-s', `http://127.0.0.1:${port}/big`], {
        encoding: 'buffer',
        maxBuffer: 40_000_000,
      })
      expect(createHash('sha256').update(stdout).digest('hex')).toBe(
        createHash('sha256').update(big).digest('hex'),
      )
      const page = await run(
        'chromium',
        [
          '--headless',
          '--no-sandbox',
          '--disable-gpu',
          '--no-first-run',
          '--disable-background-networking',
          '--disable-component-update',
          '--disable-sync',
          `--user-data-dir=${folder}/chromium`,
          '--virtual-time-budget=3000',
          '--dump-dom',
          `http://127.0.0.1:${port}/`,
        ],
        { timeout: 60_000 },
      )
      expect(page.stdout).toContain('carried 42')
      naru.kill('SIGINT')
      expect(await once(naru, 'exit')).toEqual([0, null])
      await expect(run('curl', ['-s', '--max-time', '2', `http://127.0.0.1:${port}/`])).rejects.toMatchObject(
        { code: 7 },
      )
    })

    it('a DNS query is answered, over UDP and TCP', { timeout: 60_000 }, async () => {
      const [dns, port] = [await freePort(), await freePort()]
      await start(
        'dnsmasq',
        [
          '--no-daemon',
          '--no-resolv',
          '--no-hosts',
          '--conf-file=/dev/null',
          '--listen-address=127.0.0.1',
          '--bind-interfaces',
          `--port=${dns}`,
          '--address=/ferry.test/192.0.2.7',
          '--user=root',
        ],
        null,
      )
      await open(`127.0.0.1:${port}/tcp+udp`, `127.0.0.1:${dns}`, null)
      for (const how of ['+notcp', '+tcp']) {
        await vi.waitFor(
          async () => {
            const { stdout } = await run('dig', [
              '@127.0.0.1',
              '-p',
              String(port),
              'ferry.test',
              '+short',
              '+time=1',
              '+tries=1',
              how,
            ])
            expect(stdout.trim()).toBe('192.0.2.7')
          },
          { timeout: 15_000, interval: 200 },
        )
      }
    })

    it('a stream of WireGuard-sized datagrams comes back whole', { timeout: 60_000 }, async () => {
      const echo = createSocket('udp4')
      echo.on('message', (message, from) => echo.send(message, from.port, from.address))
      await new Promise<void>((resolve) => echo.bind(0, '127.0.0.1', resolve))
      const port = await freePort()
      await open(`127.0.0.1:${port}/udp`, `127.0.0.1:${echo.address().port}`, null)
      const client = createSocket('udp4')
      const exchange = (message: Buffer): Promise<Buffer> =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(() => reject(new Error('no answer')), 1000)
          client.once('message', (answer) => {
            clearTimeout(timer)
            resolve(answer)
          })
          client.send(message, port, '127.0.0.1')
        })
      await vi.waitFor(() => exchange(Buffer.from('hello')), { timeout: 15_000, interval: 100 })
      // 1,420 bytes of tunnel packet and 32 of WireGuard's own header and tag.
      for (let round = 0; round < 500; round++) {
        const datagram = randomBytes(1452)
        expect((await exchange(datagram)).equals(datagram)).toBe(true)
      }
      client.close()
      echo.close()
    })
  },
)
