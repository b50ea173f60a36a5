import type { CodeEntry } from './entry.ts'

export const fileCodes = {
  FILE_INVALID: {
    exit: 2,
    en: '{file} is not valid:\n{problems}',
    ko: '{file} 파일이 올바르지 않습니다:\n{problems}',
    fix: {
      en: 'correct the lines named above; `naru check` shows them again',
      ko: '위에 표시된 줄을 고치세요. `naru check`로 다시 확인할 수 있습니다',
    },
  },
  FILE_MISSING: {
    exit: 2,
    en: 'there is no file {file}',
    ko: '{file} 파일이 없습니다',
    fix: {
      en: '`naru up` writes a first one, `naru add` begins one with a rule, --config names another',
      ko: '`naru up`은 예시 파일을 만들고, `naru add`는 규칙과 함께 새로 만듭니다. --config로 다른 파일을 지정할 수도 있습니다',
    },
  },
  FILE_UNREADABLE: {
    exit: 2,
    en: 'cannot read {file}: {why}',
    ko: '{file} 파일을 읽을 수 없습니다: {why}',
    fix: {
      en: 'see that it is a file that this user may read, or name another with --config',
      ko: '이 사용자가 읽을 수 있는 파일인지 확인하거나, --config로 다른 파일을 지정하세요',
    },
  },
  FILE_UNWRITABLE: {
    exit: 1,
    en: 'cannot write {file}: {why}',
    ko: '{file} 파일을 쓸 수 없습니다: {why}',
    fix: {
      en: 'see that this user may write there, and that the disk has room',
      ko: '이 사용자가 쓸 수 있는 곳인지, 디스크에 공간이 있는지 확인하세요',
    },
  },
  RULES_KEPT: {
    exit: 3,
    en: 'the file says what cannot be, so these rules go on as they were: {rules}',
    ko: '파일의 내용대로 할 수 없어 이 규칙들은 이전 상태로 계속 동작합니다: {rules}',
    fix: {
      en: 'make room or write them otherwise; `naru reload` tries again',
      ko: '원인을 없애거나 파일을 고치세요. `naru reload`로 다시 시도합니다',
    },
  },
  FILE_CHANGED: {
    exit: 1,
    en: '{file} was changed by someone else meanwhile',
    ko: '그사이 다른 곳에서 {file} 파일이 바뀌었습니다',
    fix: { en: 'look at the new state and try again', ko: '바뀐 내용을 확인하고 다시 시도하세요' },
  },
  RULE_UNKNOWN: {
    exit: 2,
    en: 'there is no rule named {name}; {known}',
    ko: '{name}{이라는/라는} 규칙이 없습니다. {known}',
    fix: null,
  },
  RULE_EXISTS: {
    exit: 2,
    en: 'a rule named {name} exists already',
    ko: '{name}{이라는/라는} 규칙이 이미 있습니다',
    fix: {
      en: 'choose another name, or change that rule: `naru edit {name}`',
      ko: '다른 이름을 쓰거나 그 규칙을 바꾸세요: `naru edit {name}`',
    },
  },
  RULE_INVALID: {
    exit: 2,
    en: 'the rule {name} is not valid: {problems}',
    ko: '{name} 규칙이 올바르지 않습니다: {problems}',
    fix: null,
  },
  IMPORT_MISSING: {
    exit: 2,
    en: 'there is no file {file}',
    ko: '{file} 파일이 없습니다',
    fix: {
      en: 'look at how its name is written, and in which folder you are',
      ko: '파일 이름과 현재 폴더를 확인하세요',
    },
  },
  IMPORT_INVALID: {
    exit: 2,
    en: '{file} cannot be read:\n{problems}',
    ko: '{file} 파일을 읽을 수 없습니다:\n{problems}',
    fix: {
      en: 'nothing was taken from it; correct the lines named above, or say what it is with --from FORMAT',
      ko: '아무것도 가져오지 않았습니다. 위에 표시된 줄을 고치거나 --from 형식으로 어떤 파일인지 알려 주세요',
    },
  },
  IMPORT_UNKNOWN: {
    exit: 2,
    en: 'cannot tell what {file} is',
    ko: '{file}{이/가} 어떤 형식인지 알 수 없습니다',
    fix: { en: 'say it with --from: {formats}', ko: '--from으로 지정하세요: {formats}' },
  },
  VALUE_INVALID: {
    exit: 2,
    en: '{what} "{value}" is not valid: {why}',
    ko: '{what} "{value}"{이/가} 올바르지 않습니다: {why}',
    fix: null,
  },
} as const satisfies Record<string, CodeEntry>
