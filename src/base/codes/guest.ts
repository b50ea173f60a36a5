import type { CodeEntry } from './entry.ts'

export const guestCodes = {
  GUEST_NOT_HERE: {
    exit: 1,
    text: 'cannot ask {kind} for its guests: {why}',
    fix: 'start {kind}, or write the guest’s address as the target',
  },
  GUEST_NOT_RUNNING: {
    exit: 1,
    text: '{kind} is not running: {why}',
    fix: 'start it: `{start}`; or write the guest’s address as the target',
  },
  GUEST_NO_TOOL: {
    exit: 1,
    text: 'cannot ask {kind} for its guests: {why}',
    fix: 'write the guest’s address as the target, or install what is missing',
  },
  GUEST_UNKNOWN: {
    exit: 2,
    text: '{kind} has no guest named {name}; there are: {known}',
    fix: '`naru guests` lists them',
  },
  GUEST_AMBIGUOUS: {
    exit: 2,
    text: '{kind} has more than one guest named {name}: {candidates}',
    fix: 'write one of these in its place, as `naru guests` shows it',
  },
  GUEST_STOPPED: {
    exit: 1,
    text: 'the {kind} guest {name} is not running ({state})',
    fix: 'start it: {start}',
  },
  GUEST_SILENT: {
    exit: 1,
    text: '{kind} gave no answer within {ms} ms ({where})',
    fix: 'see whether it hangs or another program holds it, and restart it',
  },
  GUEST_UNREADABLE: {
    exit: 1,
    text: 'cannot make sense of what {kind} answered ({where}): {why}',
    fix: 'see whether really {kind} answers there, and its version',
  },
  GUEST_REFUSED: {
    exit: 1,
    text: '{kind} would not {what}: {why}',
    fix: 'mend what it says, or write the guest’s address as the target',
  },
  GUEST_NO_ADDRESS: {
    exit: 1,
    text: 'the {kind} guest {name} has no address that this machine could dial: {why}',
    fix: '{fix}',
  },
  GUEST_NO_FORWARD: {
    exit: 1,
    text: '{kind} cannot forward a port to {name}: {why}',
    fix: '{fix}',
  },
  GUEST_FORWARD_TAKEN: {
    exit: 5,
    text: '{kind} cannot forward {port} to {name}: {owner} has it already',
    fix: 'choose another port, or free that one',
  },
  GUEST_FORWARD_LOST: {
    exit: 1,
    text: '{kind} no longer forwards {forward} to {name}',
    fix: 'Naru opens it again; if it goes on, something else removes it',
  },
} as const satisfies Record<string, CodeEntry>
