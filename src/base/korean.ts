/**
 * The Korean rows of `locales/ko`, a file for each room, as a program on Node reads them. The web page has its own way
 * to them (web/src/words/korean.ts): Vite puts that in the place of this file.
 */
import { ownText } from './own-files.ts'

/** The files of `locales/ko`. A sentence stands in the first of these rooms in which it arises. */
export const rooms = [
  'base',
  'model',
  'api',
  'web',
  'linux',
  'relay',
  'host',
  'engines',
  'routers',
  'firewalls',
  'guests',
  'stores',
  'formats',
  'services',
  'machine',
  'instance',
  'mappings',
  'doctor',
  'rules',
  'daemon',
  'cli',
] as const

let rows: ReadonlyMap<string, string> | null = null

/** @param key an English template, `port {0} is taken`, after `CONTEXT|` where it has one. @returns undefined: no row */
export function koreanOf(key: string): string | undefined {
  // Who has no Korean leaves a row empty.
  return (rows ??= new Map(rooms.flatMap(rowsOf))).get(key) || undefined
}

/** Where the package was removed under a program that runs on, English is better than an end. */
function rowsOf(room: string): [key: string, korean: string][] {
  try {
    return Object.entries(JSON.parse(ownText(`locales/ko/${room}.json`)) as Record<string, string>)
  } catch {
    return []
  }
}
