/**
 * The log as the rooms see it. The composition root makes one with pino; tests hand in one that remembers.
 * Secrets (tokens, nonces, passwords) never go in: they are not fields of anything that is logged.
 */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
