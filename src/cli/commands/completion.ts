/** `naru completion SHELL`: the script that lets a shell complete verbs, options and names of rules. */
import { say, verbatim } from '../../base/text.ts'
import type { Verb } from '../verb.ts'

const shells = ['bash', 'zsh', 'fish', 'powershell'] as const

export const verb: Verb = {
  name: 'completion',
  summary: say('completion for bash, zsh, fish or PowerShell'),
  arguments: [
    {
      name: 'SHELL',
      text: say('bash, zsh, fish or powershell'),
      completes: shells,
    },
  ],
  examples: [
    {
      command: 'source <(naru completion bash)',
      text: say('bash: add it to ~/.bashrc'),
    },
    {
      command: 'source <(naru completion zsh)',
      text: say('zsh: add it to ~/.zshrc'),
    },
    {
      command: 'naru completion fish > ~/.config/fish/completions/naru.fish',
      text: verbatim('fish'),
    },
    { command: 'naru completion powershell >> $PROFILE', text: verbatim('PowerShell') },
  ],
  async run({ print, arg }) {
    const { shellScript } = await import('../shell-scripts.ts')
    print.data(shellScript(arg('SHELL')))
    return 0
  },
}
