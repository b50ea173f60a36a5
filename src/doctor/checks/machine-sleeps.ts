/** A machine that falls asleep serves nobody. */
import { isNaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { defineCheck, type CheckSubject } from './contract.ts'

export const machineSleeps = defineCheck({
  code: 'machine-sleeps',
  hop: 'machine',
  severity: 'warns',
  title: say('the machine goes to sleep by itself'),
  explains: say(
    'Reads the power settings: powercfg on Windows, pmset on macOS, the desktop’s on Linux. Only what holds on mains power counts.',
  ),
  remedy: say('switch automatic sleep off while on mains power'),
  async look(subject, { signal }) {
    if (subject.rule !== null) return null
    const { platform } = await subject.look.facts()
    const seconds = await sleepSeconds(subject, platform, signal)
    if (seconds === null || seconds === 0) return null
    const commands: Partial<Record<NodeJS.Platform, string>> = {
      win32: 'powercfg /change standby-timeout-ac 0',
      darwin: 'sudo pmset -c sleep 0',
      linux: "gsettings set org.gnome.settings-daemon.plugins.power sleep-inactive-ac-type 'nothing'",
    }
    const command = commands[platform]
    const minutes = Math.round(seconds / 60)
    return {
      evidence: [say`it sleeps after ${minutes} minutes without a user`],
      fixes: [
        {
          text: say('keep it awake on mains power'),
          ...(command ? { command } : {}),
        },
      ],
    }
  },
})

async function sleepSeconds(
  { host }: CheckSubject,
  platform: NodeJS.Platform,
  signal: AbortSignal,
): Promise<number | null> {
  try {
    if (platform === 'win32') {
      const { stdout } = await host.runner.run(
        ['powercfg', '/query', 'SCHEME_CURRENT', 'SUB_SLEEP', 'STANDBYIDLE'],
        { signal },
      )
      return parsePowercfg(stdout)
    }
    if (platform === 'darwin')
      return parsePmset((await host.runner.run(['pmset', '-g', 'custom'], { signal })).stdout)
    const { stdout } = await host.runner.run(
      ['gsettings', 'list-recursively', 'org.gnome.settings-daemon.plugins.power'],
      { signal },
    )
    return parseGsettings(stdout)
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING')) return null
    throw error
  }
}

/** The two last hexadecimal values are the settings on mains and on battery; the words before them are translated. */
export function parsePowercfg(text: string): number | null {
  const values = [...text.matchAll(/:\s*0x([0-9a-f]{8})\s*$/gim)].map(([, hex]) =>
    Number.parseInt(hex as string, 16),
  )
  return values.length >= 2 ? (values.at(-2) ?? null) : null
}

/** `AC Power:` … ` sleep  10`, in minutes. */
export function parsePmset(text: string): number | null {
  const mains = text.slice(Math.max(0, text.indexOf('AC Power')))
  const minutes = /^[ \t]+sleep[ \t]+(\d+)/m.exec(mains)?.[1]
  return minutes === undefined ? null : Number(minutes) * 60
}

export function parseGsettings(text: string): number | null {
  const type = /sleep-inactive-ac-type '([a-z-]+)'/.exec(text)?.[1]
  const seconds = /sleep-inactive-ac-timeout (\d+)/.exec(text)?.[1]
  if (type === undefined) return null
  return type === 'nothing' ? 0 : Number(seconds ?? 0)
}
