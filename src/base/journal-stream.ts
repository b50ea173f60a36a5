import { fstatSync } from 'node:fs'

/** What is written there ends up in systemd's journal (systemd.exec(5), JOURNAL_STREAM). */
export function isJournal(descriptor: number, env: Readonly<Record<string, string | undefined>>): boolean {
  const journal = env['JOURNAL_STREAM']
  if (!journal) return false
  const { dev, ino } = fstatSync(descriptor)
  return `${dev}:${ino}` === journal
}
