import { withParticles } from './particle.ts'

/** A sentence for people, in the languages Naru speaks. Whoever knows the fact writes both. */
export interface Text {
  readonly en: string
  readonly ko: string
}

export type Language = keyof Text

/** The two languages of one sentence, side by side where it is written; Korean particles are settled (particle.ts). */
export function say(en: string, ko: string): Text {
  return { en, ko: withParticles(ko) }
}

/** A word that is the same in every language: a name, an address, a command. */
export function verbatim(word: string): Text {
  return { en: word, ko: word }
}
