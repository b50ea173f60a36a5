/** What every part of the form is handed, and how it finds what is wrong with a field of its own. */
import { useWords } from '../words/index.ts'
import type { Draft, DraftPlace } from './draft.ts'
import type { Problems } from './judge.ts'

export interface SectionProps {
  readonly draft: Draft
  readonly problems: Problems
  readonly change: (fields: Partial<Draft>) => void
}

/** What is wrong with a field, in the chosen language. */
export function useProblem(problems: Problems): (field: DraftPlace) => string | undefined {
  const { say } = useWords()
  return (field) => {
    const problem = problems[field]
    return problem && say(problem)
  }
}
