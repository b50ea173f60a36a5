import type { CodeEntry } from './entry.ts'

export const firewallCodes = {
  FIREWALL_NO_RIGHT: {
    exit: 4,
    text: 'not permitted to {what}',
    fix: 'give Naru the right, and it takes away again what it opened: `{command}`; or leave the firewall to yourself, without --firewall or --publish: `{hand}`',
  },
  FIREWALL_OVERRULED: {
    exit: 1,
    text: '{ports} is blocked, whatever is opened in {firewall}, by: {by}',
    fix: 'remove or change that rule, or `allow` only those whom it lets in; Naru touches no rules but its own and goes ahead of none that looks at who sends',
  },
  FIREWALL_LOST: {
    exit: 1,
    text: 'the opening of {ports} for {rule} is no longer in {firewall}',
    fix: 'Naru adds it again while it runs; if it vanishes again, look for what reloads the firewall',
  },
  FIREWALL_FOREIGN: {
    exit: 1,
    text: 'cannot open {ports}: it is blocked by {by}, and that table belongs to {owner}',
    fix: 'open the port with {owner}, or start it so that Naru can ask it',
  },
  FIREWALL_CANNOT: {
    exit: 1,
    text: '{firewall} cannot do that: {why}',
    fix: 'change the rule, or open the firewall by hand and leave it out: `firewall: off`',
  },
  FIREWALL_UNCLEAR: {
    exit: 1,
    text: 'cannot understand the answer of {command}: {why}',
    fix: 'run it by hand and see what it says; `firewall: off` leaves the firewall to you',
  },
} as const satisfies Record<string, CodeEntry>
