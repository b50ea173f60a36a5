import type { CodeEntry } from './entry.ts'

export const guestCodes = {} as const satisfies Record<string, CodeEntry>
