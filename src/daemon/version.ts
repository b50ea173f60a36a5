/** The package's version, read once. */
import { ownText } from '../base/own-files.ts'

export const version = (JSON.parse(ownText('package.json')) as { version: string }).version
