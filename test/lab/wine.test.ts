import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { describeWith } from '../needs.ts'
import { startWindows, wineNeeds } from './wine.ts'

const server = `
const server = require('net').createServer((socket) => socket.end('from Windows'))
server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port + ' on ' + process.platform))
process.on('SIGINT', () => { console.log('Ctrl-C'); server.close(); process.exit(7) })
`

describeWith(wineNeeds, 'Windows in the lab', () => {
  it('runs Node for Windows: it listens, answers us, and hears Ctrl-C', { timeout: 240_000 }, async () => {
    await using windows = await startWindows()
    const folder = mkdtempSync(join(tmpdir(), 'naru-wine-'))
    const script = join(folder, 'server.cjs')
    writeFileSync(script, server)
    const running = windows.startNode(script)
    const [, port, platform] = await running.says(/port (\d+) on (\w+)/)
    expect(platform).toBe('win32')
    const heard = await new Promise<string>((resolve, reject) => {
      connect(Number(port), '127.0.0.1')
        .once('data', (data) => resolve(String(data)))
        .once('error', reject)
    })
    expect(heard).toBe('from Windows')
    running.interrupt()
    expect(await running.ended()).toMatchObject({ exit: 7 })
    expect(running.stdout).toContain('Ctrl-C')
    rmSync(folder, { recursive: true })
  })
})
