import { expect } from 'vitest'
import { it } from 'vitest'
import { describeWith } from '../needs.ts'
import { Lab } from './namespaces.ts'

describeWith({ root: true, platform: 'linux', commands: ['ip'] }, 'the lab', () => {
  it('joins two hosts by a cable and removes them at its end', async () => {
    let name = ''
    {
      await using lab = new Lab()
      const [a, b] = [lab.host('a'), lab.host('b')]
      name = a.namespace
      lab.cable(
        { host: a, interface: 'eth0', addresses: ['10.1.0.1/24'] },
        { host: b, interface: 'lan', addresses: ['10.1.0.2/24'] },
      )
      expect(a.run(['ip', '-4', '-o', 'address'])).toContain('10.1.0.1/24')
    }
    const { execFileSync } = await import('node:child_process')
    expect(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })).not.toContain(name)
  })
})
