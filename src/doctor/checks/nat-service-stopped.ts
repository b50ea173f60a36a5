/** VMware's NAT runs as a service of the host; without it no forward into vmnet8 works. */
import { say } from '../../base/text.ts'
import { isNaruError } from '../../base/errors.ts'
import { defineCheck, type CheckSubject } from './contract.ts'

export const natServiceStopped = defineCheck({
  code: 'nat-service-stopped',
  hop: 'guest',
  title: say('the hypervisor’s NAT service is stopped', '하이퍼바이저의 NAT 서비스가 멈춰 있습니다'),
  explains: say(
    'For a VMware guest: the service "VMware NAT Service" (Windows) or the process vmnet-natd (Linux, macOS) does not run.',
    'VMware 게스트일 때: "VMware NAT Service"(Windows) 또는 vmnet-natd(Linux, macOS)가 실행되고 있지 않습니다.',
  ),
  remedy: say('start it', '서비스를 시작하세요'),
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
    evidence: [
      say(
        `the service "VMware NAT Service" is in state ${state}, not 4 (running)`,
        `"VMware NAT Service" 상태가 ${state}입니다(실행 중은 4)`,
      ),
    ],
    fixes: [
      {
        text: say('start it, as administrator', '관리자 권한으로 시작하세요'),
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
    evidence: [say('no process vmnet-natd runs', 'vmnet-natd 프로세스가 없습니다')],
    fixes: [{ text: say('start VMware’s networks', 'VMware 네트워크를 시작하세요'), command }],
  }
}
