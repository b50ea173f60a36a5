/**
 * The log as the rooms see it. The composition root makes one with pino; tests hand in one that remembers.
 * Secrets (tokens, nonces, passwords) never go in: they are not fields of anything that is logged.
 */
import type { Text } from './text.ts'

export interface Log {
  debug(fields: object, message: LogMessage): void
  info(fields: object, message: LogMessage): void
  warn(fields: object, message: LogMessage): void
  error(fields: object, message: LogMessage): void
}

/** A `Text` is told in the person's language at a terminal; journals and files have English, which is searched for. */
export type LogMessage = string | Text

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
