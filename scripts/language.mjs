// The person's language, as src/cli/language.ts tells it, for what is said before there is a dist/.
const { NARU_LANG, LC_ALL, LC_MESSAGES, LANG } = process.env
const at = process.argv.findIndex((word) => word === '--lang' || word.startsWith('--lang='))
export const asked = at === -1 ? null : (process.argv[at].split('=')[1] ?? process.argv[at + 1])
const locale = [asked, NARU_LANG, LC_ALL, LC_MESSAGES, LANG].find(Boolean) ?? ''

export const say = (en, ko) => (/^ko(?:[-_.@]|$)/i.test(locale) ? ko : en)
