/** The daemon as something that the system starts with the machine: what is asked of it, and what is told. */
import type { NaruError } from '../base/errors.ts'

export interface ServiceRequest {
  /** What starts Naru: node and the script, or one program. Absolute paths. */
  readonly command: readonly string[]
  /** The rules file, absolute; null is the one that `naru up` takes by itself. */
  readonly file: string | null
  /** `--api`; null is the default. */
  readonly api: string | null
  /** Others may write the program or the rules file, and the person who installs agreed. */
  readonly force: boolean
}

export interface ServiceStatus {
  readonly manager: string
  /** The path of its definition, or the task's name. */
  readonly where: string
  readonly installed: boolean
  /** The system starts it with the machine; null where that cannot be told. */
  readonly enabled: boolean | null
  /** Null where the system does not tell. */
  readonly running: boolean | null
  /** Its process; null where it does not run, or the system does not tell. */
  readonly pid: number | null
}

/** What starts programs with this machine. */
export interface SystemService<
  Options extends { readonly signal: AbortSignal } = { readonly signal: AbortSignal },
> {
  /** `systemd`, `task-scheduler`, `launchd`. */
  readonly id: string
  /** The path of the definition, or the task's name. */
  readonly where: string
  /** The rules file where none is named; null is the one that `naru up` takes by itself. */
  readonly defaultFile: string | null
  /** Its way to end a program lets it undo what it opened; else the daemon is asked to stop first. */
  readonly undoesAtEnd: boolean
  /** What would be written. */
  definition(request: ServiceRequest): Promise<string>
  /** Why somebody with fewer rights could change what it starts. */
  doubts(request: ServiceRequest): Promise<readonly NaruError[]>
  /**
   * Writes the definition, has the system start it now and with the machine; one that runs is handed over where it can be.
   * @throws NaruError NOT_PERMITTED, SERVICE_MANAGER_MISSING, COMMAND_FAILED
   */
  install(request: ServiceRequest, options: Options): Promise<void>
  status(options: Options): Promise<ServiceStatus>
  /**
   * Ends it and takes the definition away. Rules and state stay.
   * @returns false where none was installed
   * @throws NaruError NOT_PERMITTED, COMMAND_FAILED
   */
  uninstall(options: Options): Promise<boolean>
}
