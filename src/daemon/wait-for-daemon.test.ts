import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { waitForDaemon } from './wait-for-daemon.ts'

describe('the door of a daemon that starts', () => {
  let folder: string
  let server: Server | null
  const holder = () => ({ pid: 1, started: null, file: 'f', socket: join(folder, 'socket'), web: null })

  beforeEach(() => {
    folder = mkdtempSync('/tmp/naru-door-')
    server = null
  })
  afterEach(() => {
    server?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('is waited for until it opens', async () => {
    let looks = 0
    const lives = (): Promise<boolean> => {
      if (++looks === 2) server = createServer().listen(holder().socket)
      return Promise.resolve(true)
    }
    await waitForDaemon(holder(), lives)
    expect(server?.listening).toBe(true)
  })

  it('is not waited for where the daemon is gone', async () => {
    await waitForDaemon(holder(), () => Promise.resolve(false))
    expect(server).toBeNull()
  })
})
