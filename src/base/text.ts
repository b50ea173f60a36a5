/**
 * Sentences for people. English stands where the sentence arises; its Korean is a row of `locales/ko`, found by the
 * English template. Where no row is, the English is shown. `CONTRIBUTING.md` ("Sentences") tells how one is written.
 */
import { koreanOf } from './korean.ts'
import { isParticle, particleAfter, withParticles } from './particle.ts'

/** A sentence for people, in the languages Naru speaks: what travels to the API, the page and the journal. */
export interface Text {
  readonly en: string
  readonly ko: string
}

export type Language = keyof Text

/** What fills a place of a template. A `Text` fills it in its own languages, several stand with commas between. */
export type Filling = string | number | bigint | boolean | null | undefined | Text | readonly Text[]

/**
 * A sentence: say('the port is taken'), or, with what is known only then, say`port ${port} of ${host} is taken`, whose
 * row is `port {0} of {1} is taken`. Of two texts, as tests have them, it makes a sentence that needs no row.
 */
export function say(sentence: string): Text
export function say(template: TemplateStringsArray, ...fillings: readonly Filling[]): Text
export function say(en: string, ko: string): Text
export function say(template: TemplateStringsArray | string, ...fillings: readonly Filling[]): Text {
  if (typeof template !== 'string') return new Sentence(rowOf(template, ''), fillings)
  const [ko] = fillings
  return ko === undefined ? constant(template, '') : { en: template, ko: withParticles(ko as string) }
}

/** The same for English that means two things: `sayOf('of a port')('open')` has the row `of a port|open`. */
export function sayOf(context: string): {
  (sentence: string): Text
  (template: TemplateStringsArray, ...fillings: readonly Filling[]): Text
} {
  const prefix = `${context}|`
  return (template: TemplateStringsArray | string, ...fillings: readonly Filling[]) =>
    typeof template === 'string'
      ? constant(template, prefix)
      : new Sentence(rowOf(template, prefix), fillings)
}

/** What code puts together in each language, such as the lines of a list. Its Korean is made when it is read. */
export function inEach(made: (language: Language) => string): Text {
  return {
    en: made('en'),
    get ko() {
      return made('ko')
    },
  }
}

/** Several, one after the other. */
export function listed(texts: readonly Text[], between: string): Text {
  return inEach((language) => texts.map((text) => text[language]).join(between))
}

/** A word that is the same in every language: a name, an address, a command. */
export function verbatim(word: string): Text {
  return { en: word, ko: word }
}

/** What is known of a template without its fillings. */
interface Row {
  readonly english: readonly string[]
  readonly context: string
  /** The Korean in pieces: words, a mark, words, a mark … Null until it is asked for. */
  korean: readonly string[] | null
}

/**
 * Its Korean is made when it is read: who speaks English never loads the rows. `ko` is each sentence's own property,
 * so that JSON and structured clones have it as they have any other.
 */
class Sentence implements Text {
  readonly en: string
  declare readonly ko: string
  readonly #row: Row
  readonly #fillings: readonly Filling[]

  constructor(row: Row, fillings: readonly Filling[]) {
    this.en = inEnglish(row, fillings)
    this.#row = row
    this.#fillings = fillings
    Object.defineProperty(this, 'ko', Sentence.#korean)
  }

  /** On a console it looks like what it is. */
  [Symbol.for('nodejs.util.inspect.custom')](): Text {
    return { en: this.en, ko: this.ko }
  }

  static readonly #korean: PropertyDescriptor & ThisType<Sentence> = {
    enumerable: true,
    get() {
      return inKorean(this.#row, this.#fillings)
    },
  }
}

/** By the template itself: JavaScript has one array for each place in the code. */
const rows = new WeakMap<TemplateStringsArray, Row>()
/** Sentences that are the same each time. */
const constants = new Map<string, Sentence>()

function rowOf(english: TemplateStringsArray, context: string): Row {
  let row = rows.get(english)
  if (row === undefined) rows.set(english, (row = { english, context, korean: null }))
  return row
}

function constant(sentence: string, context: string): Sentence {
  const key = context + sentence
  let text = constants.get(key)
  if (text === undefined)
    constants.set(key, (text = new Sentence({ english: [sentence], context, korean: null }, [])))
  return text
}

function inEnglish({ english }: Row, fillings: readonly Filling[]): string {
  let text = english[0] as string
  for (let at = 1; at < english.length; at++) text += filled(fillings[at - 1], 'en') + (english[at] as string)
  return text
}

function inKorean(row: Row, fillings: readonly Filling[]): string {
  const pieces = (row.korean ??= koreanPieces(row))
  let text = pieces[0] as string
  for (let at = 1; at < pieces.length; at += 2) {
    const mark = pieces[at] as string
    text += isParticle(mark) ? particleAfter(text, mark) : filled(fillings[Number(mark)], 'ko')
    text += pieces[at + 1] as string
  }
  return text
}

/** Where there is no row: the English, whose places each filling still fills in its own Korean. */
function koreanPieces({ english, context }: Row): string[] {
  const key = english.reduce((text, part, at) => `${text}{${at - 1}}${part}`)
  const row = koreanOf(context + key)
  return (
    row?.split(/\{(\d+|[가-힣]+\/[가-힣]+)\}/) ??
    english.flatMap((part, at) => (at === 0 ? [part] : [String(at - 1), part]))
  )
}

function filled(filling: Filling, language: Language): string {
  if (typeof filling !== 'object' || filling === null) return String(filling)
  return 'en' in filling ? filling[language] : filling.map((text) => text[language]).join(', ')
}
