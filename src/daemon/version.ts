/** The package's version, read once, and the commit that a release was made from. */
import { ownText } from '../base/own-files.ts'

export const version = (JSON.parse(ownText('package.json')) as { version: string }).version

/** Null where this is no release: a checkout, or a package that somebody made by hand. */
export function commit(): string | null {
  try {
    return (JSON.parse(ownText('dist/release.json')) as { commit: string }).commit
  } catch {
    return null
  }
}
