/**
 * What programs that read Naru may rely on (docs/compatibility.md): the files beside this one are the promise. A line more is
 * an addition; from 1.0 on a line that goes or changes waits for the next major version. `vitest run -u` writes them.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { codes } from '../../src/base/codes/index.ts'
import { fileSchema } from '../../src/cli/reference.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { routesOf, type ApiDocument } from './api.ts'
import { shapeOf } from './shape.ts'

const root = join(import.meta.dirname, '../..')
const promise = (name: string): string => join(import.meta.dirname, name)
const lines = (all: readonly string[]): string => `${all.join('\n')}\n`

it('every error keeps its code and its exit code', async () => {
  const all = Object.entries(codes).map(([code, { exit }]) => `${code} ${exit}`)
  await expect(lines(all.toSorted())).toMatchFileSnapshot(promise('exit-codes.txt'))
})

it('every key of the rules file stays', async () => {
  const keys = keysIn(fileSchema(), '').toSorted()
  await expect(lines([...new Set(keys)])).toMatchFileSnapshot(promise('file-keys.txt'))
})

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
}

function keysIn(schema: Schema, path: string): string[] {
  const { properties = {}, additionalProperties: rest, items, anyOf = [], oneOf = [] } = schema
  return [
    ...Object.entries(properties).flatMap(([key, of]) => [`${path}${key}`, ...keysIn(of, `${path}${key}.`)]),
    ...(typeof rest === 'object' ? keysIn(rest, `${path}{}.`) : []),
    ...(items ? keysIn(items, path) : []),
    ...[...anyOf, ...oneOf].flatMap((one) => keysIn(one, path)),
  ]
}

/** Each in turn, on one daemon; `name: words`. */
const commands = {
  check: 'check',
  plan: 'plan',
  ls: 'ls',
  status: 'status',
  'status NAME': 'status web',
  add: 'add more 8009 127.0.0.1:8102 --allow 192.0.2.0/24',
  edit: 'edit more --title Other',
  rename: 'rename more most',
  disable: 'disable most',
  enable: 'enable most',
  rm: 'rm most',
  ports: 'ports',
  'firewall explain': 'firewall explain 8001',
  doctor: 'doctor',
  import: 'import --from rinetd other.conf',
  export: 'export --to haproxy web',
  reload: 'reload',
  stop: 'stop',
} as const

// Each service answers: one that does not is told of some seconds later, and the shape would be a matter of when.
const rules = `rules:
  web: { listen: 8001/tcp+udp, target: 127.0.0.1:8101, title: Web, tags: [a], allow: [192.0.2.0/24], limits: { perSource: 9 } }
  away: { listen: "127.0.0.1:8002", targets: [127.0.0.1:8101, 127.0.0.1:9], health: { every: 10s } }
  off: { listen: 8003, target: 127.0.0.1:8103, enabled: false }
  taken: { listen: "127.0.0.1:8101", target: 127.0.0.1:8102 }
`

describeWith(
  { root: true, platform: 'linux', commands: ['unshare', 'ip', 'busybox', 'curl', 'nft'] },
  'naru --json',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'naru-contract-'))
    const shown = (name: string): string => readFileSync(join(folder, 'out', name), 'utf8')

    beforeAll(async () => {
      await built()
      for (const name of ['state', 'out', 'www']) mkdirSync(join(folder, name), { mode: 0o700 })
      writeFileSync(join(folder, 'naru.yaml'), rules, { mode: 0o600 })
      writeFileSync(join(folder, 'other.conf'), '0.0.0.0 8010 192.0.2.2 80\nlogcommon\n')
      const naru = `${process.execPath} ${join(root, 'bin/naru.mjs')}`
      const script = [
        'ip link set lo up; ip link add a type veth peer name b; ip link set a up; ip addr add 192.0.2.1/24 dev a',
        `cd ${folder}; for port in 8101 8102; do busybox httpd -p 127.0.0.1:$port -h www; done`,
        `${naru} up --background > up.out 2>&1`,
        'curl -s --unix-socket "$(find state -type s -name api)" http://naru/api/openapi.json > out/openapi',
        ...Object.entries(commands).map(
          ([name, words]) =>
            `${naru} ${words} --json > "out/${name}" 2> "out/${name}.err"; echo "$?" > "out/${name}.exit"`,
        ),
        'kill $(busybox pidof busybox) 2> /dev/null; true',
      ].join('\n')
      const env = {
        PATH: process.env.PATH,
        HOME: folder,
        NARU_STATE: join(folder, 'state'),
        NARU_CONFIG: join(folder, 'naru.yaml'),
        NARU_TRUST_FILE: '1',
        LANG: 'C',
      }
      spawnSync(
        'unshare',
        ['--net', '--pid', '--fork', '--kill-child', '--mount-proc', 'bash', '-c', script],
        {
          env,
          timeout: 120_000,
        },
      )
    }, 150_000)
    afterAll(() => rmSync(folder, { recursive: true, force: true }))

    it('every route of the API keeps what it takes and who may', async () => {
      const document = JSON.parse(shown('openapi')) as ApiDocument
      await expect(lines(routesOf(document).toSorted())).toMatchFileSnapshot(promise('api.txt'))
    })

    it.each(Object.keys(commands))('%s keeps its shape and its exit code', async (name) => {
      const values = shown(name)
        .trim()
        .split(/\n(?=\{)/)
        .filter((text) => text !== '')
        .map((text) => JSON.parse(text) as unknown)
      const exit = shown(`${name}.exit`).trim()
      const all = [`exit ${exit}`, ...shapeOf(values)]
      await expect(lines(all), shown(`${name}.err`)).toMatchFileSnapshot(
        promise(`json/${name.replaceAll(' ', '-')}.txt`),
      )
    })
  },
)
