import type { CodeEntry } from './entry.ts'

export const routerCodes = {} as const satisfies Record<string, CodeEntry>
