/**
 * A host of the lab as the rooms see a machine: commands run inside it, its network and sockets are read from within
 * it. `through` replaces the way in, such as `nsenter` for a host that also has files of its own.
 */
import { statSync } from 'node:fs'
import type { Host } from '../../src/host/contract.ts'
import { createHost } from '../../src/host/index.ts'
import { createRunner } from '../../src/host/runner.ts'
import { filterGeneration } from '../../src/linux/filter-generation.ts'
import { enter } from './enter.ts'
import type { LabHost } from './namespaces.ts'

export interface LabHostOptions {
  /** Words before every command. @default `ip netns exec NAMESPACE` */
  readonly through?: readonly string[]
  /** @default a process that is started to keep a /proc/PID/net of that host */
  readonly pid?: number
}

export function labHost(host: LabHost, options: LabHostOptions = {}): Host {
  const through = options.through ?? ['ip', 'netns', 'exec', host.namespace]
  const pid = options.pid ?? keeperOf(host)
  const machine = createHost({ runner: createRunner({ through }), procNet: `/proc/${pid}/net` })
  return {
    ...machine,
    filterGeneration() {
      using _inside = enter(host)
      return Promise.resolve(filterGeneration())
    },
  }
}

/** A process inside the host; until `ip` has moved it there, its /proc shows this machine's network. */
function keeperOf(host: LabHost): number | undefined {
  const { pid } = host.start(['sleep', 'infinity'], { stdio: 'ignore' })
  const namespace = statSync(`/run/netns/${host.namespace}`).ino
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let tries = 0; tries < 5000 && statSync(`/proc/${pid}/ns/net`).ino !== namespace; tries++)
    Atomics.wait(pause, 0, 0, 1)
  return pid
}
