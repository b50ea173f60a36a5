import { makeSocketsEngine } from '../../../src/engines/sockets/engine.ts'
import { engineConformance } from './engine.ts'

engineConformance('sockets', makeSocketsEngine)
