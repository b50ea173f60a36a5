import { beforeAll } from 'vitest'
import { SpliceEngine } from '../../../src/engines/splice/main/engine.ts'
import { built } from '../../built.ts'
import { engineConformance } from './engine.ts'

beforeAll(built, 120_000)

// As at a high pace: what comes in in bulk gathers, from the first bytes.
engineConformance('splice, gathering', (tools) => new SpliceEngine(tools, { threads: 2, gatherFrom: 0 }))
