/** The clipboard of whoever sits at this machine, by the program that the desktop has for it. */
import { withLimit } from '../base/clock.ts'
import { createHost } from '../host/index.ts'

type Argv = readonly [string, ...string[]]

const limitMs = 1500

/** False where there is no desktop, or none of its programs. */
export async function copy(text: string, env: NodeJS.ProcessEnv = process.env): Promise<boolean> {
  const { runner } = createHost()
  for (const argv of programs(process.platform, env)) {
    const ran = await runner
      .run(argv, { signal: withLimit(undefined, limitMs), limitMs, input: text })
      .catch(() => null)
    if (ran?.exit === 0) return true
  }
  return false
}

function programs(platform: NodeJS.Platform, env: NodeJS.ProcessEnv): readonly Argv[] {
  if (platform === 'darwin') return [['pbcopy']]
  if (platform === 'win32') return [['clip.exe']]
  return [
    ...(env.WAYLAND_DISPLAY ? [['wl-copy'] as const] : []),
    ...(env.DISPLAY
      ? [['xclip', '-selection', 'clipboard'] as const, ['xsel', '--clipboard', '--input'] as const]
      : []),
    ...(env.WSL_DISTRO_NAME ? [['clip.exe'] as const] : []),
  ]
}
