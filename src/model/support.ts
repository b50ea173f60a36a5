/** A member's answer to "can you carry this rule here?". An expected "no" is a value, with its reason. */
import type { Text } from '../base/text.ts'

export type Support = { readonly ok: true; readonly why: Text } | { readonly ok: false; readonly why: Text }
