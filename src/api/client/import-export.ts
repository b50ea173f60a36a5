/** Import and export spoken from afar, for the web page. */
import type { Exported, ExportFormat, Imported, ImportFormat, NamedRule } from '../../model/import-export.ts'
import { routes } from '../protocol/routes.ts'
import { askerOf, type ClientTransport } from './client.ts'

/** What was found, with the names that it would get here. */
export interface Preview extends Omit<Imported, 'rules'> {
  readonly rules: readonly NamedRule[]
}

export interface ExchangeClient {
  /** @throws NaruError IMPORT_INVALID, IMPORT_UNKNOWN */
  preview(
    text: string,
    options: { file?: string; from?: ImportFormat; signal: AbortSignal },
  ): Promise<Preview>
  /** @param rule only this one; undefined is all. @throws NaruError RULE_UNKNOWN */
  write(to: ExportFormat, options: { rule?: string; signal: AbortSignal }): Promise<Exported>
}

export function createExchangeClient(transport: ClientTransport): ExchangeClient {
  const ask = askerOf(transport)
  return {
    preview: (text, { signal, ...options }) => ask(routes.import, { body: { text, ...options }, signal }),
    write: (format, { rule, signal }) => ask(routes.export, { parts: { format }, query: { rule }, signal }),
  }
}
