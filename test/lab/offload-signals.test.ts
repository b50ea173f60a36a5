/** The verifier gives up on a program where a signal comes meanwhile, as the end of any child does. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { Offload } from '../../src/linux/bpf/offload.ts'
import { describeWith } from '../needs.ts'

describeWith(
  { root: true, platform: 'linux', commands: ['timeout', 'sh'] },
  'the programs that carry flows',
  () => {
    it('are loaded whatever signals come meanwhile', async () => {
      const onSignal = (): void => {}
      process.on('SIGWINCH', onSignal)
      const script = `while kill -WINCH ${process.pid}; do sleep 0.01; done`
      const signals = spawn('timeout', ['20', 'sh', '-c', script], { stdio: 'ignore' })
      try {
        for (let time = 0; time < 60; time++) {
          const opened = Offload.open()
          expect(opened).toBeInstanceOf(Offload)
          if (opened instanceof Offload) opened.close()
          await new Promise((resolve) => setImmediate(resolve))
        }
      } finally {
        signals.kill()
        await once(signals, 'exit')
        process.off('SIGWINCH', onSignal)
      }
    })
  },
)
