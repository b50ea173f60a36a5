/**
 * A host of the lab as the rooms see a machine: commands run inside it, its network and sockets are read from within
 * it. `through` replaces the way in, such as `nsenter` for a host that also has files of its own.
 */
import type { Host } from '../../src/host/contract.ts'
import { createHost } from '../../src/host/index.ts'
import { createRunner } from '../../src/host/runner.ts'
import type { LabHost } from './namespaces.ts'

export interface LabHostOptions {
  /** Words before every command. @default `ip netns exec NAMESPACE` */
  readonly through?: readonly string[]
  /** @default a process that is started to keep a /proc/PID/net of that host */
  readonly pid?: number
}

export function labHost(host: LabHost, options: LabHostOptions = {}): Host {
  const through = options.through ?? ['ip', 'netns', 'exec', host.namespace]
  const pid = options.pid ?? host.start(['sleep', 'infinity'], { stdio: 'ignore' }).pid
  return createHost({ runner: createRunner({ through }), procNet: `/proc/${pid}/net` })
}
