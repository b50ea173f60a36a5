import { expect, it } from 'vitest'
import { FakeIo, fakeDeps, naru } from '../../test/fakes/io.ts'
import { FakeMachine } from '../../test/fakes/machine.ts'
import { FakeNaru, hopStatus, ruleStatus } from '../../test/fakes/naru.ts'
import type { RuleStatus } from '../model/naru-api.ts'

/** Its firewall lets in all but port 80. */
const machine = new FakeMachine()
const lan = { scope: 'lan', text: 'http://192.168.1.10:80' } as const

/** What is said on stderr until the prompt is back. */
async function opened(over: Partial<RuleStatus>, line = 'open 80 8080'): Promise<string[]> {
  const fake = new FakeNaru()
  const io = new FakeIo()
  const deps = fakeDeps(null, {
    machine: () => Promise.resolve(machine),
    openHere: ({ name }) => {
      fake.set(ruleStatus(name, { listen: '80', addresses: [lan], ...over }))
      return Promise.resolve(Object.assign(fake, { [Symbol.asyncDispose]: () => Promise.resolve() }))
    },
  })
  const running = naru(line, deps, io)
  await io.stderr.until('connections')
  io.interrupt()
  return (await running).talk
}

it('an open port that the firewall drops is said not to be reached by others, with what opens it', async () => {
  expect(await opened({})).toContain(
    '! other computers do not get in: the host firewall drops 80 (policy drop); with --firewall Naru opens it',
  )
  expect(machine.calls).toContainEqual(['admits', { protocol: 'tcp', port: 80, from: '192.168.1.9' }])
})

it('a port that somebody’s NAT sends elsewhere is said to be one, also where Naru opens the firewall', async () => {
  const [to, by] = ['192.0.2.2:80', 'ip nat prerouting: tcp dport 8080 dnat to 192.0.2.2:80']
  machine.sentOn = { port: 8080, to, by }
  for (const hops of [[], [hopStatus({ hop: 'firewall' })]])
    expect(await opened({ listen: '8080', hops }, 'open 8080 80')).toContain(
      `! other computers do not get here: this machine sends 8080 on to ${to} (${by}); remove that rule or choose another port`,
    )
})

it('nothing is said where it lets in, where Naru opens it, or where nobody else is meant', async () => {
  const told = async (over: Partial<RuleStatus>): Promise<string[]> =>
    (await opened(over)).filter((line) => line.startsWith('!'))
  expect(await told({ listen: '8888' })).toEqual([])
  expect(await told({ hops: [hopStatus({ hop: 'firewall' }), hopStatus({ hop: 'relay' })] })).toEqual([])
  expect(await told({ addresses: [{ scope: 'machine', text: '127.0.0.1:80' }] })).toEqual([])
})

it('`naru add` says it too, with the command for that rule', async () => {
  const fake = new FakeNaru(ruleStatus('web', { listen: '80', addresses: [lan] }))
  const { talk } = await naru(
    'edit web --target 8080',
    fakeDeps(fake, { machine: () => Promise.resolve(machine) }),
  )
  expect(talk.join('\n')).toContain('`naru edit web --firewall` opens it')
})

it('a page on the network whose port the firewall drops is said not to be reached', async () => {
  const io = new FakeIo()
  const about = {
    version: '0.1.0',
    pid: 1,
    file: null,
    web: 'http://192.168.1.10:80',
    revision: '',
    fileProblem: null,
  }
  const up = (web: string): ReturnType<typeof fakeDeps> =>
    fakeDeps(null, {
      machine: () => Promise.resolve(machine),
      async up({ onReady }) {
        const links = { loginUrl: web, readOnlyUrl: null, pageOnNetwork: true, sampleUrl: null }
        onReady(
          { about: { ...about, web } as never, ...links, rules: [], failures: [] },
          { inBackground: false },
        )
        await new Promise(setImmediate)
        return 0
      },
    })
  const shut = await naru('up --api 192.168.1.10:80', up('http://192.168.1.10:80'), io)
  expect(shut.talk.join('\n')).toContain('the host firewall drops port 80 (policy drop)')
  const open = await naru('up --api 192.168.1.10:8888', up('http://192.168.1.10:8888'))
  expect(open.talk.join('\n')).not.toContain('drops')
})
