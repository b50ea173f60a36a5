/**
 * Root's Naru, as another user sees it: its folder is closed to him, and the kernel names its socket all the same. So a
 * user is not told that nothing runs while root's service carries the very rules of that file.
 */
import { readFile } from 'node:fs/promises'
import { NaruError } from '../base/errors.ts'
import { asRoot } from '../base/privilege.ts'
import { instanceIdOf } from './instance.ts'

/** Where root's state is unless NARU_STATE says otherwise; the service has it there. */
const folderOfRoot = '/var/lib/naru'

export interface Beholder {
  /** @default this process's user; undefined where the system has no such thing */
  readonly uid?: number | undefined
  /** The kernel's list of Unix sockets, proc_net(5). @default /proc/net/unix, and nothing where it is not there */
  readonly sockets?: () => Promise<string>
}

/** @throws NaruError RUNS_AS_ROOT where root's Naru runs on that file, and this is another user */
export async function mustNotBeRoots(
  file: string,
  { uid = process.getuid?.(), sockets = socketsOfKernel }: Beholder = {},
): Promise<void> {
  if (uid === undefined || uid === 0) return
  const [list, id] = await Promise.all([sockets(), instanceIdOf(file)])
  const api = `${folderOfRoot}/${id}/api`
  const runs = list.split('\n').some((line) => line.endsWith(` ${api}`) || line.endsWith(` ${api}+`))
  if (runs) throw new NaruError('RUNS_AS_ROOT', { file, command: asRoot(process.argv.slice(2)) })
}

const socketsOfKernel = (): Promise<string> => readFile('/proc/net/unix', 'utf8').catch(() => '')
