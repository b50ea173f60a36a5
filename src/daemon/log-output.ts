/** The daemon's log: JSON lines on standard error for journald and files, plain ones for a person at a terminal. */
import type { Log, LogMessage } from '../base/log.ts'
import type { Language } from '../base/text.ts'
import { visible } from '../base/visible.ts'

/**
 * NARU_LOG sets the level: debug, info, warn, error or silent. @default info
 * @param mayTalk false once whoever sits at the terminal does something else there; files and the journal hear it all
 */
export async function createLog(
  language: Language = 'en',
  mayTalk: () => boolean = () => true,
): Promise<Log> {
  const level = process.env.NARU_LOG ?? 'info'
  if (process.stderr.isTTY) return plainLog(level, language, mayTalk)
  const { pino } = await import('pino')
  const lines = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    // What cannot be written is lost, and no reason to end: the stream says so to whoever listens.
    { write: (line: string) => void process.stderr.write(line) },
  )
  return {
    debug: (fields, message) => lines.debug(fields, inWords(message, 'en')),
    info: (fields, message) => lines.info(fields, inWords(message, 'en')),
    warn: (fields, message) => lines.warn(fields, inWords(message, 'en')),
    error: (fields, message) => lines.error(fields, inWords(message, 'en')),
  }
}

const inWords = (message: LogMessage, language: Language): string =>
  typeof message === 'string' ? message : message[language]

const levels = ['debug', 'info', 'warn', 'error', 'silent']

function plainLog(least: string, language: Language, mayTalk: () => boolean): Log {
  const from = Math.max(0, levels.indexOf(least))
  const write =
    (level: string) =>
    (fields: object, message: LogMessage): void => {
      if (levels.indexOf(level) < from || !mayTalk()) return
      const { rule } = fields as { rule?: string | null }
      process.stderr.write(
        `${new Date().toTimeString().slice(0, 8)} ${level === 'info' ? '' : `${level}: `}${rule ? `${visible(rule)}: ` : ''}${indented(inWords(message, language))}\n`,
      )
    }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** Lines of one message stand below its time: none can pass for another entry. */
function indented(message: string): string {
  return message.split('\n').map(visible).join('\n         ')
}
