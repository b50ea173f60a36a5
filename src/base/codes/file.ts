import type { CodeEntry } from './entry.ts'

export const fileCodes = {
  FILE_INVALID: {
    exit: 2,
    text: '{file} is not valid:\n{problems}',
    fix: 'correct the lines named above; `naru check` shows them again',
  },
  FILE_MISSING: {
    exit: 2,
    text: 'there is no file {file}',
    fix: '`naru up` writes a first one, `naru add` begins one with a rule, --config names another',
  },
  FILE_UNREADABLE: {
    exit: 2,
    text: 'cannot read {file}: {why}',
    fix: 'see that it is a file that this user may read, or name another with --config',
  },
  FILE_NOT_UTF8: {
    exit: 2,
    text: 'cannot read {file}: it is not text in UTF-8',
    fix: 'save it as UTF-8 (Notepad: Save as, Encoding: UTF-8; or `iconv -t UTF-8`)',
  },
  FILE_UNWRITABLE: {
    exit: 1,
    text: 'cannot write {file}: {why}',
    fix: 'see that this user may write there, and that the disk has room',
  },
  RULES_KEPT: {
    exit: 3,
    text: 'the file says what cannot be, so these rules go on as they were: {rules}',
    fix: 'make room or write them otherwise; `naru reload` tries again',
  },
  FILE_CHANGED: {
    exit: 1,
    text: '{file} was changed by someone else meanwhile',
    fix: 'look at the new state and try again',
  },
  RULE_UNKNOWN: {
    exit: 2,
    text: 'there is no rule named {name}; {known}',
    fix: null,
  },
  RULE_EXISTS: {
    exit: 2,
    text: 'a rule named {name} exists already',
    fix: 'choose another name, or change that rule: `naru edit {name}`',
  },
  RULE_INVALID: {
    exit: 2,
    text: 'the rule {name} is not valid: {problems}',
    fix: null,
  },
  IMPORT_MISSING: {
    exit: 2,
    text: 'there is no file {file}',
    fix: 'look at how its name is written, and in which folder you are',
  },
  IMPORT_INVALID: {
    exit: 2,
    text: '{file} cannot be read:\n{problems}',
    fix: 'nothing was taken from it; correct the lines named above, or say what it is with --from FORMAT',
  },
  IMPORT_UNKNOWN: {
    exit: 2,
    text: 'cannot tell what {file} is',
    fix: 'say it with --from: {formats}',
  },
  VALUE_INVALID: {
    exit: 2,
    text: '{what} "{value}" is not valid: {why}',
    fix: null,
  },
} as const satisfies Record<string, CodeEntry>
