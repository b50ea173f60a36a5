import { beforeAll } from 'vitest'
import { SpliceEngine } from '../../../src/engines/splice/main/engine.ts'
import { built } from '../../built.ts'
import { engineConformance } from './engine.ts'

beforeAll(built, 120_000)

// As after many messages: each direction is the ring's from its first.
engineConformance(
  'splice, in the ring',
  (tools) => new SpliceEngine(tools, { threads: 2, messagesBeforeRing: 1, eventsBeforeRing: 0 }),
)
