/**
 * The promises of an engine. Every engine passes them, or says by name which it does not give and why. What they
 * guard against is what other forwarders do: a reset that looks like success, a half-closed stream that loses its
 * answer, a datagram cut short or answered from the wrong address, a rule that dies when descriptors run out.
 */
import { describe } from 'vitest'
import type { MakeEngine } from '../../../src/engines/contract.ts'
import { descriptorPromises } from './descriptors.ts'
import { identityPromises } from './identity.ts'
import { lifePromises } from './life.ts'
import { policyPromises } from './policy.ts'
import { streamPromises } from './streams.ts'
import { takeoverPromises } from './takeover.ts'
import { datagramPromises } from './datagrams.ts'
import type { ConformanceOptions } from './world.ts'

export type { ConformanceOptions } from './world.ts'

export function engineConformance(name: string, make: MakeEngine, options: ConformanceOptions = {}): void {
  describe(`the engine ${name}`, () => {
    describe('streams', () => streamPromises(make, options))
    describe('datagrams', () => datagramPromises(make, options))
    describe('policy', () => policyPromises(make, options))
    // Every promise of it is read from or written into the stream.
    if (!options.inKernel) describe('identity', () => identityPromises(make, options))
    describe("a rule's life", () => lifePromises(make, options))
    // The kernel carries on by itself; what a successor adopts there is proven in the lab.
    if (!options.inKernel) describe('a successor', () => takeoverPromises(make, options))
    describe('descriptors', () => descriptorPromises(make, options))
  })
}
