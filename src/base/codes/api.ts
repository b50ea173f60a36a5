import type { CodeEntry } from './entry.ts'

export const apiCodes = {} as const satisfies Record<string, CodeEntry>
