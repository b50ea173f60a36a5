/** `naru completion SHELL`: the script that lets a shell complete verbs, options and names of rules. */
import { say } from '../../base/text.ts'
import type { Verb } from '../verb.ts'

const shells = ['bash', 'zsh', 'fish', 'powershell'] as const

export const verb: Verb = {
  name: 'completion',
  summary: say(
    'completion for bash, zsh, fish or PowerShell',
    'bash, zsh, fish, PowerShell 자동 완성 스크립트',
  ),
  arguments: [
    {
      name: 'SHELL',
      text: say('bash, zsh, fish or powershell', 'bash, zsh, fish, powershell 중 하나'),
      completes: shells,
    },
  ],
  examples: [
    {
      command: 'source <(naru completion bash)',
      text: say('bash: add it to ~/.bashrc', 'bash: ~/.bashrc에 추가'),
    },
    {
      command: 'source <(naru completion zsh)',
      text: say('zsh: add it to ~/.zshrc', 'zsh: ~/.zshrc에 추가'),
    },
    {
      command: 'naru completion fish > ~/.config/fish/completions/naru.fish',
      text: say('fish', 'fish'),
    },
    { command: 'naru completion powershell >> $PROFILE', text: say('PowerShell', 'PowerShell') },
  ],
  async run({ print, arg }) {
    const { shellScript } = await import('../shell-scripts.ts')
    print.data(shellScript(arg('SHELL')))
    return 0
  },
}
