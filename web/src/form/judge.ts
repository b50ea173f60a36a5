/** What the daemon thinks of a draft while it is typed: the plan, or what is wrong and where. Nothing is done. */
import { useEffect, useState } from 'react'
import { isNaruError, NaruError, toNaruError } from '../../../src/base/errors.ts'
import type { Text } from '../../../src/base/text.ts'
import type { RuleInput } from '../../../src/model/naru-api.ts'
import type { Plan } from '../../../src/model/plan.ts'
import { client } from '../state/naru.ts'
import { fieldOf, type DraftPlace } from './draft.ts'
import { say } from '../../../src/base/text.ts'

export type Problems = Readonly<Partial<Record<DraftPlace | 'whole', Text>>>

export type Judgement =
  | { readonly state: 'empty' }
  | { readonly state: 'busy' }
  | { readonly state: 'good'; readonly plan: Plan }
  | { readonly state: 'wrong'; readonly problems: Problems }

/** A person who types is not interrupted by each key. */
const settleMs = 350

/** `rule` null: there is too little to ask about. */
export function useJudgement(name: string, rule: RuleInput | null): Judgement {
  const [judgement, setJudgement] = useState<Judgement>({ state: 'empty' })
  const key = JSON.stringify([name, rule])
  useEffect(() => {
    const [asked, input] = JSON.parse(key) as [string, RuleInput | null]
    if (input === null) return setJudgement({ state: 'empty' })
    let current = true
    const ask = async (): Promise<void> => {
      setJudgement({ state: 'busy' })
      const found = await judge(asked, input)
      if (current) setJudgement(found)
    }
    const timer = setTimeout(() => void ask(), settleMs)
    return () => {
      current = false
      clearTimeout(timer)
    }
  }, [key])
  return judgement
}

async function judge(name: string, rule: RuleInput): Promise<Judgement> {
  try {
    return { state: 'good', plan: await client.plan({ name, rule }) }
  } catch (error) {
    return { state: 'wrong', problems: problemsOf(toNaruError(error)) }
  }
}

/** Each problem at its field; what belongs to none is told for the whole. */
export function problemsOf(error: NaruError): Problems {
  if (isNaruError(error, 'RULE_EXISTS')) return { name: error.text }
  if (isNaruError(error, 'VALUE_INVALID') && error.params.what === 'name') return { name: error.text }
  const found: Partial<Record<DraftPlace | 'whole', Text>> = {}
  for (const { path, text } of error.problems) {
    const field = fieldOf(path) ?? 'whole'
    const there = found[field]
    const told = fieldOf(path) === null && path !== '' ? say`${path}: ${text}` : text
    found[field] = there ? say`${there} ${told}` : told
  }
  return Object.keys(found).length > 0 ? found : { whole: error.text }
}
