import { beforeAll } from 'vitest'
import { SpliceEngine } from '../../../src/engines/splice/main/engine.ts'
import { built } from '../../built.ts'
import { engineConformance } from './engine.ts'

beforeAll(built, 120_000)

engineConformance('splice', (tools) => new SpliceEngine(tools, { threads: 2 }))
