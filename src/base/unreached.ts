/** Why nobody was reached, in words: the errors of connect(2) that people meet, and what the system says of the others. */
import { errnoOf, messageOf } from './errors.ts'
import { say, verbatim, type Text } from './text.ts'

export function unreachedText(error: unknown): Text {
  const errno = errnoOf(error)
  return (errno !== undefined && words.get(errno)) || verbatim(messageOf(error))
}

const words: ReadonlyMap<string, Text> = new Map([
  ['ECONNREFUSED', say('the connection is refused')],
  ['ECONNRESET', say('the connection is cut at once')],
  ['EHOSTUNREACH', say('no machine answers at that address')],
  ['ENETUNREACH', say('there is no route to that network')],
  ['ETIMEDOUT', say('no answer in time')],
])
