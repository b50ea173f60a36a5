/** Server-Sent Events from bytes (WHATWG HTML §9.2.6), bounded: a line longer than the limit ends the stream. */
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'

/** Ten thousand rules in one `traffic` event stay below this. */
const longestLine = 16 << 20

export interface SseMessage {
  /** Empty until the server has named an event. */
  readonly id: string
  readonly data: string
  /** `message` where the server does not say. */
  readonly event: string
}

export async function* eventsIn(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<SseMessage> {
  let id = ''
  let event = ''
  let data: string[] = []
  for await (const line of linesIn(chunks)) {
    if (line === '') {
      if (data.length > 0) yield { id, data: data.join('\n'), event: event || 'message' }
      event = ''
      data = []
      continue
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?([^]*))?$/.exec(line) ?? []
    if (field === 'data') data.push(value)
    else if (field === 'event') event = value
    else if (field === 'id' && !value.includes('\0')) id = value
  }
}

async function* linesIn(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n/)
    rest = lines.pop() ?? ''
    if (rest.length > longestLine)
      throw new NaruError('API_SILENT', {
        where: 'events',
        why: say('a line without an end'),
      })
    yield* lines
  }
}
