/** Where the file is when nobody says, and what stands in it when there is none. */
import { existsSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { NaruError } from '../base/errors.ts'
import { homeFolder } from '../base/home.ts'
import { say } from '../base/text.ts'
import { isOwn } from '../base/trust.ts'

/**
 * Flag > NARU_CONFIG > the user's file > the system's. One that does not exist yet is the user's.
 * @throws NaruError VALUE_INVALID where its name is no UTF-8
 */
export function ruleFile(flag: string | null, env: NodeJS.ProcessEnv = process.env): string {
  return asWritten(chosen(flag, env))
}

/** Node reads arguments, environment and folders as UTF-8, and what is none becomes U+FFFD: the name of another file. */
function asWritten(path: string): string {
  if (!path.includes('\uFFFD')) return path
  const why = say('its name or folder is not written in UTF-8, and would become another file; rename it')
  throw new NaruError('VALUE_INVALID', { what: say('the file of rules'), value: path, why })
}

function chosen(flag: string | null, env: NodeJS.ProcessEnv): string {
  if (flag !== null) return resolve(flag)
  if (env.NARU_CONFIG) return resolve(env.NARU_CONFIG)
  const own = join(configFolder(env), 'naru', 'naru.yaml')
  const system = '/etc/naru/naru.yaml'
  return !existsSync(own) && process.platform !== 'win32' && existsSync(system) ? system : own
}

function configFolder(env: NodeJS.ProcessEnv): string {
  // After `su` or `sudo -E` it is still the user's; a relative one is to be ignored (XDG Base Directory Specification).
  if (env.XDG_CONFIG_HOME && isAbsolute(env.XDG_CONFIG_HOME) && isOwn(env.XDG_CONFIG_HOME))
    return env.XDG_CONFIG_HOME
  if (process.platform === 'win32') return env.APPDATA ?? join(homeFolder(env), 'AppData', 'Roaming')
  return join(homeFolder(env), '.config')
}

/** The first file: one rule that works at once, and what to try next. */
export function starter(listenPort: number, samplePort: number): string {
  return `# Naru's rules. Edit and save: a running \`naru up\` follows at once; \`naru check\` tells what is wrong.
# 나루의 규칙 파일입니다. 고쳐서 저장하면 실행 중인 \`naru up\`이 바로 따라갑니다.
#
# Every key: \`naru add --help\` or docs/rules.md. A few to try:
#
#   iis:                              # a web server in a VM, for the whole LAN
#     listen: 8888
#     target: 192.168.79.128:80
#     allow: [192.168.0.0/16]
#
#   game:                             # opened on the router and the firewall too
#     listen: 25565/tcp+udp
#     target: 192.168.1.20:25565
#     publish: true

rules:
  hello:
    listen: 127.0.0.1:${listenPort}
    target: 127.0.0.1:${samplePort}

# A small page that Naru itself serves on 127.0.0.1, so that there is something to forward to. Take it out when you like.
sample: ${samplePort}
`
}
