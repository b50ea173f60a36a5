import { makeSocketsEngine } from '../../../src/engines/sockets.ts'
import { engineConformance } from './engine.ts'

engineConformance('sockets', makeSocketsEngine)
