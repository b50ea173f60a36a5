/** What the system says when it does not let us listen, as one of our codes with its next step. */
import { errnoOf, messageOf, NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'

/** What Linux says where nobody changed it; whoever knows the machine puts its own number there. */
const firstUnprivilegedPort = 1024

/** @param owner asked only where the address is in use. */
export async function listenError(
  thrown: unknown,
  listen: string,
  owner: () => Promise<string | null>,
): Promise<NaruError> {
  if (thrown instanceof NaruError) return thrown
  const cause = { cause: thrown }
  switch (errnoOf(thrown)) {
    case 'EADDRINUSE': {
      const known = await owner().catch(() => null)
      const somebody = say('another program', '다른 프로그램')
      return new NaruError('LISTEN_IN_USE', { listen, owner: known ?? somebody }, cause)
    }
    case 'EACCES':
      if (listen.startsWith('unix:')) break
      return new NaruError('LISTEN_PRIVILEGED', { listen, first: firstUnprivilegedPort }, cause)
    case 'EADDRNOTAVAIL':
      return new NaruError('LISTEN_NO_ADDRESS', { listen }, cause)
    default:
  }
  return new NaruError('LISTEN_FAILED', { listen, why: messageOf(thrown) }, cause)
}
