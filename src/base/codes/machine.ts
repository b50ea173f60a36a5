import type { CodeEntry } from './entry.ts'

export const machineCodes = {
  INTERNAL: {
    exit: 1,
    text: 'something failed that Naru did not foresee: {why}',
    fix: 'run again with NARU_DEBUG=1 to see where, and report it',
  },
  OUT_OF_DESCRIPTORS: {
    exit: 1,
    text: 'this process has as many files and sockets open as it may: {why}',
    fix: 'allow it more: ulimit -n 65536, or LimitNOFILE= of its unit',
  },
  TIMED_OUT: {
    exit: 1,
    text: '{what} gave no answer within {ms} ms',
    fix: 'try again; if it stays silent, see whether it hangs',
  },
  ABORTED: {
    exit: 1,
    text: '{what} was stopped before it was done',
    fix: null,
  },
  COMMAND_MISSING: {
    exit: 1,
    text: 'cannot run {command}: it is not installed or not on PATH',
    fix: 'install it, or put the folder that has it on PATH',
  },
  COMMAND_FAILED: {
    exit: 1,
    text: '{command} failed with exit code {exit}: {stderr}',
    fix: 'mend what it says; run by hand it may tell more',
  },
  NOT_PERMITTED: {
    exit: 4,
    text: 'not permitted to {what}',
    fix: 'run: `{command}`',
  },
  UNTRUSTED_PATH: {
    exit: 4,
    text: '{path} is not used, as another user could change what is there: {why}',
    fix: '{mend}',
  },
  FIREWALL_UNFIT: {
    exit: 1,
    text: 'no firewall can be opened (asked for {firewall}): {why}',
    fix: '`naru firewall` shows which one decides here',
  },
  STATE_FOLDER: {
    exit: 1,
    text: 'cannot write to the state folder {folder}: {why}',
    fix: 'make it writable, free space on its disk, or choose another with NARU_STATE',
  },
  ALREADY_RUNNING: {
    exit: 1,
    text: 'another Naru (pid {pid}) already runs on {file}',
    fix: 'talk to it with `naru ls`, take its place with `naru up --replace`, or give this one another file with --config',
  },
  HANDOVER_FAILED: {
    exit: 1,
    text: 'could not take the place of the running Naru (pid {pid}), which goes on as before: {why}',
    fix: 'mend what is said, or restart with `naru stop` and `naru up`',
  },
  HELD_BY_SERVICE: {
    exit: 1,
    text: 'the Naru that runs (pid {pid}) is the service {unit}, and one started by hand would leave it',
    fix: 'replace it without a gap by `{command}`; a program that lies elsewhere now: write its unit anew (`sudo naru service install`)',
  },
  RUNS_OUTSIDE: {
    exit: 1,
    text: 'a Naru that the system did not start (pid {pid}) runs on {file}, and what it opened stays open',
    fix: 'end it with `naru stop`, which undoes what it opened; then do this again',
  },
  SERVICE_NOT_UP: {
    exit: 1,
    text: 'the service is written ({where}), and does not serve',
    fix: 'its log tells why (systemd: `journalctl -u naru`); `naru check` finds what is wrong with the file',
  },
  SERVICE_NOT_OURS: {
    exit: 1,
    text: '{where} is not of Naru’s making: {what}',
    fix: '{instead}',
  },
  SERVICE_MANAGER_MISSING: {
    exit: 1,
    text: 'nothing here starts Naru with the machine: {manager} does not run',
    fix: '{instead}',
  },
  HOME_UNKNOWN: {
    exit: 1,
    text: 'cannot tell which folder is yours: HOME is not set, and this user has no entry in /etc/passwd',
    fix: 'set HOME, or name the rule file with --config and the state folder with NARU_STATE',
  },
  OUTPUT_LOST: {
    exit: 1,
    text: 'cannot write the output: {why}',
    fix: 'free space where it goes to',
  },
  STOPPING: {
    exit: 1,
    text: 'Naru is stopping: nothing is changed any more',
    fix: 'start it again, and then do it',
  },
  NOT_UNDONE: {
    exit: 1,
    text: 'still in force, as it could not be undone: {left}',
    fix: '`naru stop` tries it again, and so does any start (`naru up`, `naru open`)',
  },
  STILL_IN_FORCE: {
    exit: 1,
    text: 'the rule {name} wants it no more, but it could not be undone yet: {left}',
    fix: 'Naru tries again by itself, every 30 s at the latest and when it starts next; `naru firewall ls` and `naru router ls` show what there is',
  },
  HANDED_OVER: {
    exit: 1,
    text: 'another Naru has taken over; ask that one',
    fix: 'do it again: `naru` finds the one that runs',
  },
  VANTAGE_SILENT: {
    exit: 1,
    text: 'the vantage {place} cannot be asked: {why}',
    fix: 'run `naru vantage` on that machine, and let its port in there',
  },
  VANTAGE_KEY: {
    exit: 4,
    text: 'the vantage {place} does not know the key',
    fix: 'type the key that `naru vantage` printed there',
  },
} as const satisfies Record<string, CodeEntry>
