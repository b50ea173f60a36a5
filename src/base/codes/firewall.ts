import type { CodeEntry } from './entry.ts'

export const firewallCodes = {} as const satisfies Record<string, CodeEntry>
