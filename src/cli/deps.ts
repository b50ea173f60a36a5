/**
 * What the CLI is handed by `main`, since it knows only `Naru`: ways to get one, in this process, from the running
 * daemon, or from the file alone. Each is loaded when it is called, so that a verb pays for what it uses.
 */
import type { NaruErrorJson } from '../base/errors.ts'
import type { Language, Text } from '../base/text.ts'
import type { NaruClient } from '../api/client/client.ts'
import type { ExitCode } from '../base/codes/entry.ts'
import type { Exported, ExportFormat, Imported, ImportFormat } from '../model/import-export.ts'
import type { MachineApi } from '../model/machine-api.ts'
import type { Plan } from '../model/plan.ts'
import type { Rule } from '../model/rule.ts'
import type { SystemService } from '../model/service.ts'
import type { About, Naru, RuleInput, RuleStatus } from '../model/naru-api.ts'

export interface CliDeps {
  readonly version: string
  /** That this release was made from; null where it is none. */
  readonly commit: () => string | null
  /** One rule in this process, without a file. @throws NaruError where it could not be opened; nothing is left then. */
  openHere(options: OpenHereOptions): Promise<Naru & AsyncDisposable>
  /** What `naru open` holds in other terminals, as it was when a hop last changed: traffic of it is not told. */
  openElsewhere(): Promise<readonly RuleStatus[]>
  /** What `openHere` would do. Nothing is opened. */
  planHere(options: { readonly name: string; readonly rule: RuleInput }): Promise<Plan>
  /** `naru up` until it ends or `signal` stops it. SIGHUP and SIGUSR1 are the daemon's own. */
  up(options: UpOptions): Promise<ExitCode>
  /** This command line in a process of its own: 0 once that one serves, its exit code where it does not. */
  upInBackground(signal: AbortSignal): Promise<ExitCode>
  /** The running daemon of that file, by its socket. @throws NaruError NOT_RUNNING, RUNS_AS_ROOT */
  connect(options: FileOptions): Promise<NaruClient>
  /**
   * That file's daemon, which is gone, left nothing in force, or another one has begun, and undoes it.
   * @throws NaruError NOT_UNDONE
   */
  mustBeUndone(options: FileOptions): Promise<void>
  /**
   * The file alone, while no daemon runs: list, plan, add, edit, remove, enable, disable, about. Nothing is opened.
   * @throws NaruError FILE_INVALID, FILE_UNREADABLE
   */
  offline(options: FileOptions): Promise<Naru>
  /** Undoes what killed ones left in force, and tells of it; of nothing, nothing. */
  undoLeftOvers(options: { readonly signal: AbortSignal; readonly tell: (text: Text) => void }): Promise<void>
  /** This machine, from this process; the rules it knows are the daemon's, or the file's. */
  machine(options: FileOptions): Promise<MachineApi>
  /** Of it, the sockets alone, which take a fraction of the time to load; the rules they know are the daemon's. */
  ports(options: FileOptions): Promise<Pick<MachineApi, 'ports'>>
  /** Another program's file, or standard input (`-`). @throws NaruError FILE_UNREADABLE, IMPORT_… */
  importFile(file: string, from: ImportFormat | null): Promise<Imported>
  /** Rules as another program's file. */
  exportRules(to: ExportFormat, rules: readonly Rule[]): Promise<Exported>
  /** Puts a line into the desktop's clipboard; false where there is none. */
  copy(text: string): Promise<boolean>
  /** What starts programs with this machine; null where Naru knows none for its system. */
  service(): Promise<SystemService | null>
  /** `naru vantage`: dials back those who know the key, until it is disposed. */
  vantage(options: VantageServing): Promise<{ readonly key: string; readonly port: number } & AsyncDisposable>
}

export interface VantageServing {
  /** @default 6279 */
  readonly port?: number
  /** @default a new one */
  readonly key?: string
  readonly onAsked: (asked: { from: string; port: number | null; result: string }) => void
}

export interface FileOptions {
  /** `--config`; null is the default file (NARU_CONFIG, $XDG_CONFIG_HOME/naru/naru.yaml, /etc/naru/naru.yaml). */
  readonly file: string | null
}

export interface OpenHereOptions {
  readonly name: string
  /** With the keys of the file. */
  readonly rule: RuleInput
  /** Keep the inner hops open where an outer one fails (exit code 3), in place of undoing all. */
  readonly keepPartial: boolean
  /** Told as each hop comes up. */
  readonly onProgress: (rule: RuleStatus) => void
  /** Told of what an earlier Naru left behind: what was undone, and what could not be. */
  readonly onLeftOver: (text: Text) => void
  /** Fires on the first Ctrl-C, also while it still opens: undo everything. */
  readonly signal: AbortSignal
}

export interface UpOptions extends FileOptions {
  /** `ADDRESS:PORT`, `off`, or null for 127.0.0.1:6278 or the next free port. */
  readonly api: string | null
  /** Of what is said at a terminal while it runs. */
  readonly language: Language
  /** Take the place of the daemon that runs on the file, where one does. */
  readonly replace: boolean
  /** A successor has everything but `connections`; this process ends with the last of them. */
  readonly onPassedOn: (to: { readonly pid: number; readonly connections: number }) => void
  /** Rules are open, or what could not be is in `failures`. */
  readonly onReady: (ready: Ready, place: { readonly inBackground: boolean }) => void
  readonly signal: AbortSignal
}

export interface Ready {
  readonly about: About
  /** The web page with its token; null where `--api off`. */
  readonly loginUrl: string | null
  readonly readOnlyUrl: string | null
  /** The page is not on loopback alone: others may reach it, and read what it sends. */
  readonly pageOnNetwork: boolean
  /** The sample page as a rule forwards it; null where none does. */
  readonly sampleUrl: string | null
  readonly rules: readonly RuleStatus[]
  readonly failures: readonly NaruErrorJson[]
}
