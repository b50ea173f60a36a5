/** VMware's NAT runs as a service of the host; without it no forward into vmnet8 works. */
import { say } from '../../base/text.ts'
import { isNaruError } from '../../base/errors.ts'
import { defineCheck, type CheckSubject } from './contract.ts'

export const natServiceStopped = defineCheck({
  code: 'nat-service-stopped',
  hop: 'guest',
  title: say('the hypervisor’s NAT service is stopped'),
  explains: say(
    'For a VMware guest: the service "VMware NAT Service" (Windows) or the process vmnet-natd (Linux, macOS) does not run.',
  ),
  remedy: say('start it'),
  async look(subject, { signal }) {
    if (!subject.rule?.targets.some(({ to }) => to.kind === 'guest' && to.guest === 'vmware')) return null
    // Where there is no VMware, its NAT is not what stands still.
    if ((await subject.look.targets()).some(({ problem }) => isNaruError(problem, 'GUEST_NO_TOOL')))
      return null
    const { platform } = await subject.look.facts()
    return platform === 'win32' ? onWindows(subject, signal) : elsewhere(subject, signal, platform)
  },
})

async function onWindows({ host }: CheckSubject, signal: AbortSignal) {
  const { exit, stdout } = await host.runner.run(['sc', 'query', 'VMware NAT Service'], { signal })
  // `STATE : 4 RUNNING`; the number is the same in every language.
  const state = /:\s*([1-7])\s+[A-Z_]+/.exec(
    stdout.split('\n').find((line) => /STATE|상태/.test(line)) ?? '',
  )?.[1]
  if (exit !== 0 || state === undefined || state === '4') return null
  return {
    evidence: [say`the service "VMware NAT Service" is in state ${state}, not 4 (running)`],
    fixes: [
      {
        text: say('start it, as administrator'),
        command: 'net start "VMware NAT Service"',
      },
    ],
  }
}

async function elsewhere({ host }: CheckSubject, signal: AbortSignal, platform: NodeJS.Platform) {
  try {
    const { exit } = await host.runner.run(['pgrep', '-x', 'vmnet-natd'], { signal })
    if (exit !== 1) return null
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING')) return null
    throw error
  }
  const command =
    platform === 'darwin'
      ? 'sudo "/Applications/VMware Fusion.app/Contents/Library/vmnet-cli" --start'
      : 'sudo vmware-networks --start'
  return {
    evidence: [say('no process vmnet-natd runs')],
    fixes: [{ text: say('start VMware’s networks'), command }],
  }
}
