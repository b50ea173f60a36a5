/** Whoever tries one example beside another, or beside the first file, finds no port taken. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { starter } from '../../src/daemon/files.ts'
import type { RuleInput, RuleStatus } from '../../src/model/naru-api.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'

beforeAll(built, 120_000)

/** The first file as it is written, and with what it has in comments to try. */
async function files(): Promise<Record<string, string>> {
  const first = starter(8880, 6280)
  const tried = first.slice(first.indexOf('#   iis:'), first.indexOf('\nrules:')).replaceAll(/^# ?/gm, '')
  const examples = (await readdir('examples')).filter((name) => name.endsWith('.yaml'))
  expect(examples.length).toBe(4)
  const texts = examples.map(async (name) => [name, await readFile(join('examples', name), 'utf8')] as const)
  const readme = /```yaml\n(rules:\n.*?)```/s.exec(await readFile('README.md', 'utf8'))?.[1] ?? ''
  return {
    'first.yaml': first,
    'tried.yaml': `rules:\n${tried}`,
    'readme.yaml': readme,
    ...Object.fromEntries(await Promise.all(texts)),
  }
}

describeWith({ root: true, platform: 'linux', commands: ['unshare', 'ip'] }, 'the examples', () => {
  it('all open side by side, with the first file and the library’s', { timeout: 90_000 }, async () => {
    const home = await mkdtemp(join(tmpdir(), 'naru-examples-'))
    const running: ChildProcess[] = []
    try {
      const wanted = Object.entries(await files()).filter(([name]) => !/^(tried|readme)/.test(name))
      for (const [name, text] of wanted) await writeFile(join(home, name), text, { mode: 0o600 })
      // A network of its own, so that nobody else has a port of theirs.
      const script = [
        'ip link set lo up',
        ...wanted.map(
          ([name]) =>
            `node dist/main.js up --json --api off --config ${join(home, name)} > ${join(home, name)}.out 2> ${join(home, name)}.log &`,
        ),
        'node examples/library.mjs',
        `for i in $(seq 150); do [ $(cat ${home}/*.out | wc -l) -ge ${wanted.length} ] && break; sleep 0.2; done`,
        'kill $(jobs -p); wait',
      ].join('\n')
      const env = { ...process.env, NARU_STATE: join(home, 'state'), NARU_TRUST_FILE: '1', NARU_CONFIG: '' }
      const shell = spawn('unshare', ['-n', 'bash', '-c', script], {
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      running.push(shell)
      let said = ''
      shell.stdout.on('data', (chunk: Buffer) => void (said += chunk.toString()))
      await once(shell, 'exit')
      expect(said).toContain('closed without a trace')
      for (const [name, text] of wanted) {
        const line = (await readFile(join(home, `${name}.out`), 'utf8')).split('\n')[0] ?? ''
        const { rules } = JSON.parse(line) as { rules: readonly RuleStatus[] }
        expect(rules.map((rule) => rule.name)).toEqual(
          Object.keys((parse(text) as { rules: Record<string, RuleInput> }).rules),
        )
        for (const { hops } of rules)
          expect(hops.map(({ problem }) => problem)).not.toContain('LISTEN_IN_USE')
      }
    } finally {
      for (const one of running) one.kill('SIGKILL')
      await rm(home, { recursive: true, force: true })
    }
  })
})

it('no example takes a port of the first file', async () => {
  const all = Object.entries(await files())
  const first = all.filter(([name]) => name === 'first.yaml')
  const ports = (entries: typeof all): string[] =>
    entries.flatMap(([, text]) =>
      Object.values((parse(text) as { rules: Record<string, { listen: string | number }> }).rules).map(
        ({ listen }) => /(\d+)(?:\/|$)/.exec(String(listen))?.[1] ?? '',
      ),
    )
  const others = all.filter(([name]) => name !== 'first.yaml')
  expect(ports(others).filter((port) => ports(first).includes(port))).toEqual([])
  const examples = ports(others.filter(([name]) => !/^(tried|readme)/.test(name)))
  expect(new Set(examples).size).toBe(examples.length)
})
