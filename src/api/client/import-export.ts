/** Import and export spoken from afar, for the web page. */
import type { Exported, ExportFormat, Imported, ImportFormat, NamedRule } from '../../model/import-export.ts'
import { queryOf } from '../protocol/wire.ts'
import { errorFrom, type ClientTransport, type TransportRequest } from './client.ts'

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
  const ask = async <T>(request: TransportRequest): Promise<T> => {
    const { status, body } = await transport.ask(request)
    if (status !== 200) throw errorFrom(body, transport.where, status)
    return body as T
  }
  return {
    preview: (text, { signal, ...options }) =>
      ask({ method: 'POST', path: '/api/import', body: { text, ...options }, signal }),
    write: (to, { rule, signal }) =>
      ask({ method: 'GET', path: `/api/export/${to}${queryOf({ rule })}`, signal }),
  }
}
