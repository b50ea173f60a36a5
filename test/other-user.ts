/** A second real user of this machine, for tests of what its other users can do; it is gone again afterwards. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import type { Needs } from './needs.ts'

export const otherUserNeeds: Needs = {
  root: true,
  platform: 'linux',
  commands: ['useradd', 'userdel', 'setpriv'],
}

export interface OtherUser extends Disposable {
  readonly uid: number
  readonly home: string
  /** Runs a command as that user. @returns its standard output. @throws where it fails or takes over 20 s */
  run(argv: readonly string[]): string
  /** The words that make a command that user's. */
  readonly through: readonly string[]
}

export function addUser(): OtherUser {
  const name = `naru-test-${randomBytes(3).toString('hex')}`
  execFileSync('useradd', ['--create-home', '--user-group', name], { stdio: 'pipe' })
  const [, , uid = '', , , home = ''] = execFileSync('getent', ['passwd', name], { encoding: 'utf8' }).split(
    ':',
  )
  const through = ['setpriv', '--reuid', uid, '--regid', uid, '--clear-groups', '--']
  return {
    uid: Number(uid),
    home,
    through,
    run(argv) {
      const [command = '', ...args] = [...through, ...argv]
      return execFileSync(command, args, { encoding: 'utf8', timeout: 20_000, cwd: home, stdio: 'pipe' })
    },
    [Symbol.dispose]: () => void execFileSync('userdel', ['--remove', '--force', name], { stdio: 'ignore' }),
  }
}
