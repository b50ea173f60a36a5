/** A line that was said several times in a row, and when a line was said. */
import type { LogLine } from '../state/log-lines.ts'
import { useWords } from '../words/index.ts'

/** What was said in a row is one line. */
export function Again({ times, lastAt }: Pick<LogLine, 'times' | 'lastAt'>) {
  const { words } = useWords()
  if (times === 1) return null
  return <span className="quiet figure small-text"> {words.log.again(times, whenText(lastAt))}</span>
}

/** With its day, where that is not today. */
export function whenText(at: number): string {
  const when = new Date(at)
  const time = when.toLocaleTimeString()
  return when.toDateString() === new Date().toDateString() ? time : `${when.toLocaleDateString()} ${time}`
}
