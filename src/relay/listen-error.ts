/** What the system says when it does not let us listen, as one of our codes with its next step. */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { errnoOf, messageOf, NaruError } from '../base/errors.ts'
import { withRight } from '../base/privilege.ts'
import { say, verbatim, type Text } from '../base/text.ts'
import { descriptorLimit } from './descriptors.ts'

/** What Linux says where nobody changed it; whoever knows the machine puts its own number there. */
const firstUnprivilegedPort = 1024

function noDescriptors(): Text {
  const limit = descriptorLimit()
  return say`this process has all ${limit} files and sockets open that it may: allow it more (ulimit -n, or LimitNOFILE= of its unit), or listen on fewer ports`
}

const machineIsFull = say(
  'this machine has as many files open as it may: end what holds them, or allow more (sysctl fs.file-max)',
)

const noMemory = say(
  'the system has no memory left for sockets: end what holds it, or allow more (the memory limit of the unit or container, sysctl net.ipv4.tcp_mem)',
)

/** libuv says EACCES also where the folder is not there. */
function whyNoFile(path: string, thrown: unknown): Text {
  const folder = dirname(path)
  if (!existsSync(folder)) {
    return say`the folder ${folder} is not there`
  }
  if (errnoOf(thrown) !== 'EACCES') return verbatim(messageOf(thrown))
  return say`no permission to make a file in ${folder}`
}

/** Nobody is to be told to stop the very program that says so. */
export function notUs(owner: string): string | Text {
  if (!owner.split(', ').some((one) => one.endsWith(`(pid ${process.pid})`))) return owner
  return say('this very process, for another rule')
}

/** @param owner asked only where the address is in use. */
export async function listenError(
  thrown: unknown,
  listen: string,
  owner: () => Promise<string | null>,
): Promise<NaruError> {
  if (thrown instanceof NaruError) return thrown
  const cause = { cause: thrown }
  const fileError = ['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(thrown) ?? '')
  if (fileError && listen.startsWith('unix:'))
    return new NaruError('LISTEN_FAILED', { listen, why: whyNoFile(listen.slice(5), thrown) }, cause)
  switch (errnoOf(thrown)) {
    case 'EADDRINUSE': {
      const known = await owner().catch(() => null)
      const somebody = say('another program')
      return new NaruError('LISTEN_IN_USE', { listen, owner: known ? notUs(known) : somebody }, cause)
    }
    case 'EMFILE':
      return new NaruError('LISTEN_FAILED', { listen, why: noDescriptors() }, cause)
    case 'ENFILE':
      return new NaruError('LISTEN_FAILED', { listen, why: machineIsFull }, cause)
    case 'ENOBUFS':
    case 'ENOMEM':
      return new NaruError('LISTEN_FAILED', { listen, why: noMemory }, cause)
    case 'EACCES':
      return new NaruError(
        'LISTEN_PRIVILEGED',
        { listen, first: firstUnprivilegedPort, command: withRight('net_bind_service') },
        cause,
      )
    case 'EADDRNOTAVAIL':
      return new NaruError('LISTEN_NO_ADDRESS', { listen }, cause)
    default:
  }
  return new NaruError('LISTEN_FAILED', { listen, why: messageOf(thrown) }, cause)
}
