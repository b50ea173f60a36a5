import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { fakeParts, World } from '../../test/fakes/parts.ts'
import { freePort } from '../../test/free-port.ts'
import { checks } from '../checks/index.ts'
import { createHost } from '../host/index.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { chooseRules, createDoctor } from './doctor.ts'

describe('a port that no rule has', () => {
  const doctor = createDoctor({
    ...fakeParts(new World(), createMemoryStore({})),
    host: createHost(),
    firewalls: [],
    resolveName: (target) =>
      Promise.resolve({ addresses: target.kind === 'inet' ? [target.host] : [], ttlMs: 1000 }),
    checks,
    askStun: () => Promise.reject(new Error('nobody is to be asked')),
    rules: () => Promise.resolve([]),
  })
  const diagnose = (about: string) => doctor.diagnose({ about, signal: AbortSignal.timeout(30_000) })

  it('is well where a service listens on it: nobody has taken it from anybody', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0)
    await once(server, 'listening')
    const { causes } = await diagnose(String((server.address() as AddressInfo).port))
    expect(causes.map(({ code }) => code)).toEqual([])
    server.close()
  })

  it('has nobody on it, and no advice to edit a rule that is not there', async () => {
    const port = await freePort()
    const { causes, folded } = await diagnose(String(port))
    expect(causes.map(({ code }) => code)).toEqual(['service-down'])
    const commands = [...causes, ...folded.map(({ finding }) => finding)].flatMap(({ fixes }) =>
      fixes.flatMap(({ command }) => command ?? []),
    )
    expect(commands).toEqual([`naru ports --find ${port}`])
  })

  it('is tried where clients of the LAN would, so that a service on loopback alone is seen', () => {
    const [chosen] = chooseRules([], '8888', '192.168.1.10')
    expect(chosen?.rule.targets[0]?.to).toMatchObject({ host: '192.168.1.10', ports: { first: 8888 } })
    expect(() => chooseRules([], 'nonsense')).toThrow(/nonsense/)
  })
})
