/**
 * What starts Naru with the machine: systemd, Windows' Task Scheduler, launchd. A member writes a definition of its own,
 * hands it to its system's own command, and takes away both.
 */
import type { Runner } from '../host/contract.ts'
import type { SystemService } from '../model/service.ts'

export interface ServiceMember extends SystemService<ServiceOptions> {
  readonly platform: NodeJS.Platform
}

export interface ServiceOptions {
  readonly runner: Runner
  readonly signal: AbortSignal
}
