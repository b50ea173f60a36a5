import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../../../test/built.ts'
import { describeWith } from '../../../test/needs.ts'
import { Lab } from '../../../test/lab/namespaces.ts'
import { Arena, bpf, close, Descriptor, loadFfi, openBpf } from '../libc.ts'

const module = fileURLToPath(new URL('../../../dist/linux/bpf/own-group.js', import.meta.url))
const cgroups = /^(?:\S+ ){4}(\S+) .* - cgroup2 /m.exec(readFileSync('/proc/self/mountinfo', 'utf8'))?.[1]
const needs = {
  root: true,
  platform: 'linux',
  offload: true,
  commands: ['ip'],
  files: [join(cgroups ?? '/no-cgroup2', 'cgroup.procs')],
} as const

/** What a process of the group `folder` is told. */
function toldIn(folder: string, through: readonly string[] = []): string {
  const ask = `import('${module}').then(({ programsOnSockets }) => console.log(programsOnSockets()))`
  const enter = ['-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', folder]
  const argv = [...enter, ...through, process.execPath, '-e', ask]
  return execFileSync('sh', argv, { encoding: 'utf8' }).trim()
}

/** Lets everything pass that sockets of the group receive, as IPAccounting= does. */
function attach(folder: string): void {
  loadFfi()
  const [attributes, code, license] = [Arena.allocate(4096), Arena.allocate(4096), Arena.allocate(4096)]
  // r0 = 1; exit
  code.words.set([0xb7, 1, 0x95, 0])
  license.bytes.set(Buffer.from('GPL\0'))
  const [load, attachTo, onPackets, received] = [5, 8, 8, 0]
  attributes.words.set([onPackets, 2])
  Arena.point(attributes, 8, code, 0, 16)
  Arena.point(attributes, 16, license, 0, 4)
  const program = openBpf(load, attributes, 120)
  if (typeof program === 'number') throw new Error(`bpf: errno ${-program}`)
  const group = openSync(folder, 'r')
  attributes.bytes.fill(0)
  attributes.words.set([group, Descriptor.number(program), received, 0])
  const result = bpf(attachTo, attributes, 120)
  closeSync(group)
  close(program)
  expect(result).toBe(0)
}

describeWith(needs, 'programs on the sockets of our control group', () => {
  beforeAll(built, 120_000)

  it('are seen on the group itself and above it, also where its mount is not seen', async () => {
    await using lab = new Lab()
    const { namespace } = lab.host('host')
    const above = join(cgroups as string, `naru-test-${process.pid}`)
    const own = join(above, 'own')
    mkdirSync(own, { recursive: true })
    try {
      // `ip netns exec` mounts a /sys of its own, without control groups.
      const within = ['ip', 'netns', 'exec', namespace]
      expect([toldIn(own), toldIn(own, within)]).toEqual(['none', 'none'])
      attach(above)
      expect([toldIn(own), toldIn(own, within), toldIn(above)]).toEqual(['some', 'some', 'some'])
    } finally {
      rmdirSync(own)
      rmdirSync(above)
    }
  })
})
