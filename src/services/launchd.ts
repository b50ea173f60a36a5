/** launchd's daemon, for the whole machine: launchd.plist(5), launchctl(1). */
import { existsSync } from 'node:fs'
import { escapeXml } from '../base/xml.ts'
import type { ServiceRequest } from '../model/service.ts'
import type { ServiceMember } from './contract.ts'
import { ask, must } from './shared/command.ts'
import { doubtAbout, doubtsOfRoot, removeDefinition, writeDefinition } from './shared/root-files.ts'

export function launchd({ plist = '/Library/LaunchDaemons/naru.plist' } = {}): ServiceMember {
  return {
    id: 'launchd',
    platform: 'darwin',
    where: plist,
    defaultFile,
    undoesAtEnd: true,
    definition: (request) => Promise.resolve(launchdPlist(request)),
    doubts: (request) => doubtsOfRoot({ ...request, file: request.file ?? defaultFile }),
    async install(request, options) {
      await writeDefinition({ path: plist, text: launchdPlist(request), rules: request.file ?? defaultFile })
      // It reads a definition once: the old one goes first, and undoes what it opened.
      if ((await ask(['launchctl', 'print', service], options)).exit === 0)
        await must(['launchctl', 'bootout', service], options)
      await must(['launchctl', 'bootstrap', 'system', plist], options)
    },
    async status(options) {
      const { exit, stdout } = await ask(['launchctl', 'print', service], options)
      const pid = Number(/^[ \t]*pid = (\d+)/m.exec(stdout)?.[1] ?? 0)
      const loaded = exit === 0
      return {
        manager: 'launchd',
        where: plist,
        installed: existsSync(plist),
        enabled: loaded,
        running: loaded && pid > 0,
        pid: pid > 0 ? pid : null,
      }
    },
    async uninstall(options) {
      const loaded = (await ask(['launchctl', 'print', service], options)).exit === 0
      if (!loaded && !existsSync(plist)) return false
      if (loaded) await must(['launchctl', 'bootout', service], options)
      await removeDefinition(plist)
      return true
    },
  }
}

const label = 'naru'
const service = `system/${label}`
const defaultFile = '/etc/naru/naru.yaml'

/** Started again where it fails, not where it was stopped; everything is undone within 5 s of SIGTERM. */
export function launchdPlist({ command, file, api, force }: ServiceRequest): string {
  const rules = file ?? defaultFile
  const words = [...command, 'up', '--config', rules, ...(api === null ? [] : ['--api', api])]
  const trusted = force && doubtAbout(rules) !== null
  const environment = trusted
    ? '\n  <key>EnvironmentVariables</key><dict><key>NARU_TRUST_FILE</key><string>1</string></dict>'
    : ''
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
  <key>Label</key><string>${label}</string>
  <key>ProgramArguments</key>
  <array>
${words.map((word) => `    <string>${escapeXml(word)}</string>`).join('\n')}
  </array>${environment}
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ExitTimeOut</key><integer>15</integer>
  <key>ProcessType</key><string>Interactive</string>
  <key>StandardErrorPath</key><string>/var/log/naru.log</string>
</dict></plist>
`
}
