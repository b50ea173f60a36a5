/**
 * The one table of error codes, gathered from a file an area. A code is forever: it appears in `--json`,
 * in scripts and in docs/errors.md, which is generated from here. `{name}` is filled from the error's params.
 */
import { apiCodes } from './api.ts'
import type { CodeEntry } from './entry.ts'
import { fileCodes } from './file.ts'
import { firewallCodes } from './firewall.ts'
import { guestCodes } from './guest.ts'
import { machineCodes } from './machine.ts'
import { relayCodes } from './relay.ts'
import { routerCodes } from './router.ts'

export const codes = {
  ...machineCodes,
  ...fileCodes,
  ...relayCodes,
  ...routerCodes,
  ...firewallCodes,
  ...guestCodes,
  ...apiCodes,
} as const satisfies Record<string, CodeEntry>

export type Code = keyof typeof codes
