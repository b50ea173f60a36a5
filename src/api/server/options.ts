/** What the API server is told and what it answers, for the composition root. */
import type { Log } from '../../base/log.ts'
import type { Exchange } from '../../model/import-export.ts'
import type { Json } from '../../model/hop.ts'
import type { MachineApi } from '../../model/machine-api.ts'

/** A file of the web page by its name, with slashes: `assets/index.js`. Null, or an error, where there is none. */
export type PageFiles = (name: string) => Promise<Uint8Array | null>

export interface ServeOptions {
  /** Unix socket (mode 0600; a stale one is replaced) or `\\.\pipe\…`, without a token. Null: none. */
  readonly socketPath: string | null
  /** Null: no TCP side (`--api off`). */
  readonly tcp: TcpOptions | null
  /** The web page's files; null serves no page. */
  readonly pageFiles: PageFiles | null
  readonly log: Log
  /** This machine, for the pages beside the rules. @default none: those paths are not there */
  readonly machine?: MachineApi
  /** Files of other programs, for the page. @default none: those paths are not there */
  readonly exchange?: Exchange
  /** JSON Schema of a rule as the file has it, shown in the OpenAPI document. @default an open object */
  readonly ruleSchema?: Json
}

export interface TcpOptions {
  /** @default 127.0.0.1 */
  readonly address?: string
  /** @default 6278 */
  readonly port?: number
  /** As `RunningServer.fds`, of the process whose place this one takes: in place of `port`. @default none */
  readonly fds?: readonly number[]
  /** Fail where the port is taken; otherwise the next free one of 20 is used. */
  readonly exact: boolean
  /** At least 128 bits of chance, kept over restarts: `newToken()`. */
  readonly token: string
  /** May look, not change. */
  readonly readToken: string
  /** Comes with `fds` from the process whose place this one takes. @default a new one */
  readonly pageKey?: string
}

export interface RunningServer extends AsyncDisposable {
  /**
   * The TCP side's sockets, for a successor: the address's own, and the one at the other address of `localhost`. Empty
   * where there is none or the system does not tell.
   */
  readonly fds: readonly number[]
  /** Goes with it: links and sessions stay good for as long as the port is held without a gap. */
  readonly pageKey: string
  readonly socketPath: string | null
  /** `http://127.0.0.1:6278`; null without a TCP side. */
  readonly url: string | null
  /** Good until this hold of the port ends. */
  readonly loginUrl: string | null
  readonly readOnlyUrl: string | null
}
