import { afterAll, beforeAll, describe } from 'vitest'
import { makeSocketsEngine } from '../../../src/engines/sockets/engine.ts'
import { SpliceEngine } from '../../../src/engines/splice/main/engine.ts'
import { built } from '../../built.ts'
import { enter } from '../../lab/enter.ts'
import { Lab, type LabHost } from '../../lab/namespaces.ts'
import { describeWith } from '../../needs.ts'
import { ownNetworkPromises } from './own-network.ts'

describeWith({ root: true, platform: 'linux', commands: ['ip', 'socat'] }, 'in a network of its own', () => {
  let lab: Lab
  let here: LabHost
  let there: LabHost
  let inside: Disposable

  beforeAll(async () => {
    await built()
    lab = new Lab()
    here = lab.host('here')
    there = lab.host('there')
    lab.cable(
      { host: here, interface: 'eth0', addresses: ['10.3.0.1/24'] },
      { host: there, interface: 'eth0', addresses: ['10.3.0.2/24'] },
    )
    inside = enter(here)
  }, 120_000)

  afterAll(async () => {
    inside[Symbol.dispose]()
    await lab[Symbol.asyncDispose]()
  })

  const network = { here: () => here, there: () => there }
  describe('the engine sockets', () => ownNetworkPromises(makeSocketsEngine, network))
  describe('the engine splice', () =>
    ownNetworkPromises((tools) => new SpliceEngine(tools, { threads: 2 }), network))
})
