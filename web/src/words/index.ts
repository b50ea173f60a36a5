/** The page's words in the chosen language, and the daemon's own sentences, which come in both. */
import type { Text } from '../../../src/base/text.ts'
import { language } from '../state/look.ts'
import { useWatched } from '../state/watched.ts'
import { en, type Words } from './en.ts'
import { koreanWords } from './korean.ts'

export function useWords(): { readonly words: Words; readonly say: (text: Text) => string } {
  const chosen = useWatched(language)
  return { words: chosen === 'ko' ? koreanWords() : en, say: (text) => text[chosen] }
}
