/** Every system that starts Naru with the machine. A new one is one file and one line here. */
import type { ServiceMember } from './contract.ts'
import { launchd } from './launchd.ts'
import { systemd } from './systemd/systemd.ts'
import { taskScheduler } from './task-scheduler.ts'

/** This machine's; null where Naru knows none for its system. */
export function serviceMember(platform: NodeJS.Platform = process.platform): ServiceMember | null {
  return [systemd(), taskScheduler(), launchd()].find((member) => member.platform === platform) ?? null
}
