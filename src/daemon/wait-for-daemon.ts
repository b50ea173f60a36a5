/** The door of a daemon for other commands opens after its rules: who comes meanwhile waits. */
import { connect } from 'node:net'
import { systemClock, pause } from '../base/clock.ts'
import type { Holder } from '../instance/instance.ts'

/** Routers and firewalls may take seconds to open; a command that waits longer says what it found. */
const longestWaitMs = 20_000
const lookAgainMs = 50

/** Resolves once the daemon answers, is gone, or has not answered for 20 s: what then comes over the door tells which. */
export async function waitForDaemon({ socket }: Holder, lives: () => Promise<boolean>): Promise<void> {
  const end = systemClock.monotonic() + longestWaitMs
  while (!(await answers(socket)) && systemClock.monotonic() < end && (await lives()))
    await pause(lookAgainMs)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
