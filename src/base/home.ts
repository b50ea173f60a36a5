import { userInfo } from 'node:os'
import { isAbsolute } from 'node:path'
import { NaruError } from './errors.ts'
import { isOwn } from './trust.ts'

/** HOME may be empty, relative or, after `su` or `sudo -E`, another's; a user may have no entry in passwd(5). @throws NaruError HOME_UNKNOWN */
export function homeFolder(env: NodeJS.ProcessEnv = process.env): string {
  const { HOME } = env
  if (process.platform !== 'win32' && HOME && isAbsolute(HOME) && isOwn(HOME)) return HOME
  try {
    const home = userInfo().homedir
    if (isAbsolute(home)) return home
  } catch {
    // Nobody of that number is known here.
  }
  throw new NaruError('HOME_UNKNOWN', {})
}
