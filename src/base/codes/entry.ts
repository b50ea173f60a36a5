/** 0 done, 1 failed, 2 usage or invalid file, 3 some hops failed, 4 not permitted, 5 address in use. */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5

export interface CodeEntry {
  readonly exit: ExitCode
  /** In English; its Korean is a row of `locales/ko`. */
  readonly text: string
  /** The next step for the person who reads it; null where the sentence itself tells it, or nothing is to be done. */
  readonly fix: string | null
}
