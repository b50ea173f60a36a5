import { afterAll, beforeAll, describe } from 'vitest'
import { makeSocketsEngine } from '../../../src/engines/sockets.ts'
import { SpliceEngine } from '../../../src/engines/splice/engine.ts'
import { built } from '../../built.ts'
import { enter } from '../../lab/enter.ts'
import { Lab, type LabHost } from '../../lab/namespaces.ts'
import { describeWith } from '../../needs.ts'
import { ownNetworkPromises } from './own-network.ts'

describeWith({ root: true, platform: 'linux', commands: ['ip', 'nft'] }, 'in a network of its own', () => {
  let lab: Lab
  let here: LabHost
  let inside: Disposable

  beforeAll(async () => {
    await built()
    lab = new Lab()
    here = lab.host('here')
    inside = enter(here)
  }, 120_000)

  afterAll(async () => {
    inside[Symbol.dispose]()
    await lab[Symbol.asyncDispose]()
  })

  describe('the engine sockets', () => ownNetworkPromises(makeSocketsEngine, { here: () => here }))
  describe('the engine splice', () =>
    ownNetworkPromises((tools) => new SpliceEngine(tools, { threads: 2 }), { here: () => here }))
})
