import type { CodeEntry } from './entry.ts'

export const apiCodes = {
  NOT_RUNNING: {
    exit: 1,
    text: 'no Naru runs on {file}',
    fix: 'start it with `naru up`, or name its file with --config',
  },
  RUNS_AS_ROOT: {
    exit: 4,
    text: 'root’s Naru runs on {file}, and answers nobody but root',
    fix: 'run: `{command}`',
  },
  API_SILENT: {
    exit: 1,
    text: 'Naru at {where} does not answer as it should: {why}',
    fix: 'see whether it hangs; `naru stop` and `naru up` start it anew',
  },
  API_IN_USE: {
    exit: 5,
    text: 'cannot listen on {address} for the web page: the address is in use',
    fix: 'choose another with --api ADDRESS:PORT, or go without with --api off',
  },
  API_UNAVAILABLE: {
    exit: 1,
    text: 'cannot listen on {address}: {why}',
    fix: 'choose another with --api ADDRESS:PORT, or go without with --api off',
  },
  API_NO_TOKEN: {
    exit: 4,
    text: 'a token is missing or wrong',
    fix: 'open the link that `naru up` printed; `naru status` shows it again',
  },
  API_READ_ONLY: {
    exit: 4,
    text: 'this token may look, not change',
    fix: 'log in with the full link',
  },
  API_FOREIGN: {
    exit: 4,
    text: 'refused: the request comes from another site ({what})',
    fix: 'open the page itself, by the link that `naru up` printed',
  },
  API_TOO_LARGE: {
    exit: 2,
    text: 'the request is larger than {bytes} bytes',
    fix: 'send less at a time; `naru import FILE` takes larger files',
  },
  API_BUSY: {
    exit: 1,
    text: 'this token already has {most} such requests under way',
    fix: 'close some, such as old tabs of the page',
  },
  API_BAD_REQUEST: {
    exit: 2,
    text: 'the request is not valid: {why}',
    fix: '/api/openapi.json tells what is expected',
  },
  API_NOT_FOUND: {
    exit: 2,
    text: 'there is nothing at {path}',
    fix: '/api/openapi.json lists what there is',
  },
  CONNECTION_UNKNOWN: {
    exit: 2,
    text: 'no connection {id} is open',
    fix: 'it has ended meanwhile; `naru top` shows those that are open',
  },
  OUTSIDE_WHICH: {
    exit: 2,
    text: 'say which rule or TCP port is to be tried from outside; there are: {known}',
    fix: null,
  },
  OUTSIDE_NO_ADDRESS: {
    exit: 1,
    text: 'no public address is known to which a phone could go',
    fix: 'let a STUN server be asked: --internet on the command line, the checkbox on the page',
  },
  OUTSIDE_STUN_SILENT: {
    exit: 1,
    text: 'no public address is known to which a phone could go: no router told one, and no STUN server answered',
    fix: 'see whether this machine reaches the internet by UDP, or type the WAN address that the router’s page shows into the phone by hand, with port {port}',
  },
  USAGE: {
    exit: 2,
    text: '{why}',
    fix: '`{command}` shows how',
  },
} as const satisfies Record<string, CodeEntry>
