import { beforeAll } from 'vitest'
import { SpliceEngine } from '../../../src/engines/splice/main/engine.ts'
import { built } from '../../built.ts'
import { engineConformance } from './engine.ts'

beforeAll(built, 120_000)

// As among busy UDP sessions: the kernel carries each from its first answer on.
engineConformance(
  'splice, offloaded',
  (tools) => new SpliceEngine(tools, { threads: 2, datagramsBeforeOffload: 1 }),
)
