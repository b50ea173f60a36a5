import type { CodeEntry } from './entry.ts'

export const relayCodes = {
  LISTEN_IN_USE: {
    exit: 5,
    text: 'cannot listen on {listen}: the address is in use by {owner}',
    fix: 'end what has it, or choose another port: from 32768 up it may be a connection that was given it',
  },
  LISTEN_PRIVILEGED: {
    exit: 4,
    text: 'cannot listen on {listen}: ports below {first} need a privilege',
    fix: 'choose a port from {first}, or run: `{command}`',
  },
  LISTEN_NO_ADDRESS: {
    exit: 1,
    text: 'cannot listen on {listen}: this machine does not have that address',
    fix: '`naru ip` shows the addresses there are; where traffic arrives stands first, where it goes second',
  },
  LISTEN_FAILED: {
    exit: 1,
    text: 'cannot listen on {listen}: {why}',
    fix: 'mend that, or listen on another address or port',
  },
  TARGET_LOOP: {
    exit: 2,
    text: 'the rule {name} would forward {listen} to itself',
    fix: 'point the target at another port',
  },
  NAME_NOT_FOUND: {
    exit: 1,
    text: 'cannot find the address of {name}: {why}',
    fix: 'look at how it is written; `naru ip` shows the name servers, and an address in its place needs none',
  },
  TARGET_SILENT: {
    exit: 1,
    text: '{target}: {why}',
    fix: 'see that it runs and can be reached from here: `naru doctor` tells more',
  },
  SERVICE_SILENT: {
    exit: 1,
    text: 'the service at {target} does not answer: {why}',
    fix: 'start it, or {look}',
  },
  ENGINE_FAILED: {
    exit: 1,
    text: 'the engine {engine} failed: {why}',
    fix: 'use another: `engine: sockets` works on any system; NARU_LOG=debug tells more',
  },
  ENGINE_NONE: {
    exit: 1,
    text: 'no engine here can carry {name}: {why}',
    fix: 'drop what none of them can do',
  },
  ENGINE_NO_RIGHT: {
    exit: 4,
    text: 'what could carry {name} lacks a privilege: {why}',
    fix: 'run: `{command}`',
  },
  ENGINE_UNFIT: {
    exit: 1,
    text: 'the engine {engine} cannot carry {name}: {why}',
    fix: 'use engine: auto, or drop what it cannot do',
  },
} as const satisfies Record<string, CodeEntry>
