/** Why nobody was reached, in words: the errors of connect(2) that people meet, and what the system says of the others. */
import { errnoOf, messageOf } from './errors.ts'
import { say, verbatim, type Text } from './text.ts'

export function unreachedText(error: unknown): Text {
  const errno = errnoOf(error)
  return (errno !== undefined && words.get(errno)) || verbatim(messageOf(error))
}

const words: ReadonlyMap<string, Text> = new Map([
  ['ECONNREFUSED', say('the connection is refused', '연결을 거부합니다')],
  ['ECONNRESET', say('the connection is cut at once', '연결을 바로 끊습니다')],
  ['EHOSTUNREACH', say('no machine answers at that address', '그 주소에서 응답하는 기기가 없습니다')],
  ['ENETUNREACH', say('there is no route to that network', '그 네트워크로 가는 경로가 없습니다')],
  ['ETIMEDOUT', say('no answer in time', '제시간에 응답이 없습니다')],
])
