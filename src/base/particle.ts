/**
 * Korean particles after words that are only known when a sentence is made. A sentence has `{을/를}`, `{이/가}`, `{은/는}`,
 * `{과/와}`, `{으로/로}` or `{이라는/라는}` behind such a word, and the word's last sound chooses: of Hangul its final
 * consonant, of a digit and of Latin letters the way they are read.
 */

const particles: ReadonlySet<string> = new Set(['을/를', '이/가', '은/는', '과/와', '으로/로', '이라는/라는'])
const marker = new RegExp(`\\{(${[...particles].join('|')})\\}`, 'g')

/** The sentence with each particle as the word before it wants it. */
export function withParticles(text: string): string {
  if (!text.includes('/') || !text.includes('{')) return text
  return text.replace(marker, (_, pair: string, at: number) => particleAfter(text.slice(0, at), pair))
}

/** Is it what stands between the braces of a mark? */
export function isParticle(pair: string): boolean {
  return particles.has(pair)
}

/** @param pair `을/를` and so on. @returns the one that what stands `before` it wants */
export function particleAfter(before: string, pair: string): string {
  const [closed = '', open = ''] = pair.split('/')
  const sound = lastSound(before.slice(-longestLook))
  // 으로 is for a closed syllable, but for one that ends in ㄹ.
  return sound === 'closed' || (sound === 'rieul' && closed !== '으로') ? closed : open
}

/** As dictionaries write it where the word is not known: `을(를)`, `(으)로`. */
export function withBothParticles(text: string): string {
  return text.replace(marker, (_, pair: string) => {
    const [closed = '', open = ''] = pair.split('/')
    return closed.endsWith(open) ? `(${closed.slice(0, -open.length)})${open}` : `${closed}(${open})`
  })
}

type Sound = 'open' | 'closed' | 'rieul'

const longestLook = 64
const firstSyllable = 0xac00
const lastSyllable = 0xd7a3
const finals = 28
const rieul = 8
/** 영 일 이 삼 사 오 육 칠 팔 구 */
const digits: readonly Sound[] = 'closed rieul open closed open open closed rieul rieul open'.split(
  ' ',
) as Sound[]

/** Signs at the end are not read, nor is what stands in brackets there: `nginx (pid 812)` is nginx. */
function lastSound(written: string): Sound {
  const before = written.replace(/\([^()]*\)["'`”’]*$/, '')
  const word = before.match(/[\p{L}\p{N}]+/gu)?.at(-1) ?? ''
  const last = word.codePointAt(word.length - 1) ?? 0
  if (last >= firstSyllable && last <= lastSyllable) {
    const final = (last - firstSyllable) % finals
    return final === 0 ? 'open' : final === rieul ? 'rieul' : 'closed'
  }
  const digit = /\d$/.exec(word)?.[0]
  return digit === undefined ? latinSound(word) : (digits[Number(digit)] ?? 'open')
}

/** Letter by letter where it is in capitals (엘 엠 엔 알), as a word otherwise: 커널, 도메인, 웹, 소켓. */
function latinSound(word: string): Sound {
  // NAME and TARGET are words, HTTP and TCP are not.
  if (/^[A-Z]{4,}$/.test(word) && /[AEIOU]/.test(word)) return latinSound(word.toLowerCase())
  if (/^[A-Z\d]*L$/.test(word)) return 'rieul'
  if (/^[A-Z\d]*R$/.test(word) && word.length > 0) return 'rieul'
  if (/^[A-Z\d]*[MN]$/.test(word)) return 'closed'
  if (/^[A-Z\d]*$/.test(word)) return 'open'
  if (readOut.test(word)) return 'open'
  // 룰, 파일: the e is not read, nor that of 홈, 네임, 라인.
  if (/le?$/i.test(word)) return 'rieul'
  return /([mn]|[aeiou][mn]e|ng|ck|[aeiouy][bckpt])$/i.test(word) ? 'closed' : 'open'
}

/** 아이피, 체크: Korean reads the letters, or gives the end a vowel of its own. */
const readOut = /^(ip|check)$/i
