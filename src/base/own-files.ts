/**
 * What comes with the program beside its code: from the package's folder, or, where Naru is one file (a Node.js single
 * executable application, made by `packaging/one-file.mjs`), from inside of it.
 */
import { readFileSync } from 'node:fs'
import { getRawAsset, isSea } from 'node:sea'

/** Node, the program and all that it brings are one file. */
export const isOneFile: boolean = isSea()

/** @param path from the package's root, with slashes: `package.json`. @throws where there is none */
export function ownFile(path: string): Uint8Array {
  if (isOneFile) return new Uint8Array(getRawAsset(path) as ArrayBuffer)
  return readFileSync(new URL(`../../${path}`, import.meta.url))
}

/** The same as text. @throws where there is none */
export function ownText(path: string): string {
  return new TextDecoder().decode(ownFile(path))
}

/** How a process was started. */
export interface StartedAs {
  readonly execPath: string
  readonly execArgv: readonly string[]
  /** Node, the script (or the one file as it was typed), and what was typed after it. */
  readonly argv: readonly string[]
}

/** The words that start this program again: Node, its options and the script, or the one file alone. */
export function programWords({ execPath, execArgv, argv }: StartedAs, oneFile = isOneFile): string[] {
  return oneFile ? [execPath] : [execPath, ...execArgv, ...argv.slice(1, 2)]
}
