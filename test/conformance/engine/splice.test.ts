import { beforeAll } from 'vitest'
import { SpliceEngine } from '../../../src/engines/splice/main/engine.ts'
import { built } from '../../built.ts'
import { engineConformance } from './engine.ts'

beforeAll(built, 120_000)

engineConformance('splice', (tools) => new SpliceEngine(tools, { threads: 2 }))
// As at a high pace: what comes in in bulk gathers, from the first bytes.
engineConformance('splice, gathering', (tools) => new SpliceEngine(tools, { threads: 2, gatherFrom: 0 }))
// As after many messages: each direction is the ring's from its first.
engineConformance(
  'splice, in the ring',
  (tools) => new SpliceEngine(tools, { threads: 2, messagesBeforeRing: 1, eventsBeforeRing: 0 }),
)
// As among busy UDP sessions: the kernel carries each from its first answer on.
engineConformance(
  'splice, offloaded',
  (tools) => new SpliceEngine(tools, { threads: 2, datagramsBeforeOffload: 1 }),
)
