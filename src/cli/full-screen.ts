/**
 * The alternate screen of a terminal, without a cursor: whatever was there comes back, at the end and while the command
 * is stopped by Ctrl-Z, which a terminal that hands over each key leaves to us.
 */
import type { Io } from './io.ts'

const enter = '\u001B[?1049h\u001B[?25l'
const leave = '\u001B[?25h\u001B[?1049l'

export interface FullScreen {
  readonly draw: () => void
  readonly press: (key: string) => void
}

/** Until disposed. */
export function fullScreen(io: Io, { draw, press }: FullScreen): Disposable {
  const pressed = (key: string): void => {
    if (key !== '\u001A') return press(key)
    io.stdout.write(leave)
    io.suspend(() => {
      io.stdout.write(enter)
      draw()
    })
  }
  io.stdout.write(enter)
  const keys = io.stdin.onKey(pressed)
  const resized = io.onResize(draw)
  return {
    [Symbol.dispose]() {
      keys[Symbol.dispose]()
      resized[Symbol.dispose]()
      io.stdout.write(leave)
    },
  }
}
