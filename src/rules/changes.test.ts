import { expect, it } from 'vitest'
import { FakeEngine, type FakeContainer } from '../../test/fakes/docker-engine.ts'
import { fakeHost, fakeParts, World } from '../../test/fakes/parts.ts'
import { docker } from '../guests/docker/docker.ts'
import { parseRule } from '../model/rule-file.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { notesFor } from './changes.ts'

const signal = AbortSignal.timeout(20_000)
const container: FakeContainer = { name: 'web', id: 'a1'.repeat(32), state: 'running', address: '172.17.0.2' }

it('a guest that is off or unknown is told with the rule, and what would start it', async () => {
  const off: FakeContainer = { ...container, name: 'old', id: 'b2'.repeat(32), state: 'exited' }
  await using engine = await new FakeEngine([container, off]).start()
  const guests = [docker({ url: engine.url })]
  const parts = fakeParts(new World(), createMemoryStore({}), { host: fakeHost, guests, firewalls: [] })
  const notes = async (target: string): Promise<string[]> => {
    const told = await notesFor(parseRule('web', { listen: 8801, target }), parts, signal)
    return told.map(({ en }) => en)
  }
  expect(await notes('docker:web:80')).toEqual([])
  expect(await notes('docker:old:80')).toEqual([expect.stringContaining('docker start old')])
  expect(await notes('docker:odl:80')).toEqual([expect.stringContaining('there are: old, web')])
})
