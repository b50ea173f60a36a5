/** Every rule in the columns a router's page has, and below them what that page never told: the path, live. */
import { useCallback, useDeferredValue, useMemo, useState } from 'react'
import { Icon } from '../parts/icon.tsx'
import { arranged, tagsIn, wishOf } from '../rules/arrange.ts'
import { Bulk } from '../rules/bulk.tsx'
import { Table } from '../rules/table.tsx'
import { Toolbar } from '../rules/toolbar.tsx'
import { naru } from '../state/naru.ts'
import { fields, linkTo } from '../state/place.ts'
import { useCalm, useWatched } from '../state/watched.ts'
import type { RuleCounts } from '../words/en.ts'
import { useWords } from '../words/index.ts'
import { shownState } from '../../../src/model/shown-state.ts'
import type { RuleStatus } from '../../../src/model/naru-api.ts'

/** Fewer are seen at a glance. */
const fewest = 5

export function RulesPage() {
  const { words } = useWords()
  const rules = useCalm(naru.rules)
  const access = useWatched(naru.access)
  const query = useWatched(fields)
  const total = rules?.length ?? 0
  const wish = useMemo(() => wishOf(query, total), [query, total])
  const shownWish = useDeferredValue(wish)
  const groups = useMemo(() => arranged(rules ?? [], shownWish), [rules, shownWish])
  const tagText = useMemo(() => tagsIn(rules ?? []).join('\n'), [rules])
  const tags = useMemo(() => tagText.split('\n').filter(Boolean), [tagText])
  const all = groups.flatMap((group) => group.rules)
  const { chosen, onChoose, onChooseAll, onClear } = useChosen(all)
  const mayChange = access === 'full'
  return (
    <>
      <Head rules={rules} mayChange={mayChange} />
      {((rules?.length ?? 0) > fewest || query.size > 0) && <Toolbar wish={wish} tags={tags} />}
      {rules === null && <p className="quiet">{words.link.starting}</p>}
      {rules?.length === 0 && <NoRules />}
      {rules !== null && rules.length > 0 && groups.length === 0 && (
        <p className="quiet">{words.rules.noMatch}</p>
      )}
      {groups.length > 0 && (
        <Table
          key={JSON.stringify(shownWish)}
          groups={groups}
          wish={shownWish}
          mayChange={mayChange}
          chosen={chosen}
          onChoose={onChoose}
          onChooseAll={onChooseAll}
        />
      )}
      {/* What a filter hides is not touched. */}
      <Bulk rules={all.filter(({ name }) => chosen.has(name))} onClear={onClear} />
    </>
  )
}

/** The names that are chosen; what calls it stays the same while the rules do, so that no row is drawn anew. */
function useChosen(all: readonly RuleStatus[]) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const onChoose = useCallback((name: string, wanted: boolean) => {
    setChosen((before) => {
      const next = new Set(before)
      if (wanted) next.add(name)
      else next.delete(name)
      return next
    })
  }, [])
  const names = all.map(({ name }) => name).join('\n')
  const onChooseAll = useCallback(
    (wanted: boolean) => setChosen(new Set(wanted ? names.split('\n') : [])),
    [names],
  )
  const onClear = (): void => setChosen(new Set())
  return { chosen, onChoose, onChooseAll, onClear }
}

interface HeadProps {
  readonly rules: readonly RuleStatus[] | null
  readonly mayChange: boolean
}

function Head({ rules, mayChange }: HeadProps) {
  const { words } = useWords()
  return (
    <div className="page-head">
      <div>
        <h1>{words.rules.title}</h1>
        <p className="quiet">{rules && words.rules.lead(countsOf(rules))}</p>
      </div>
      {mayChange && (
        <div className="row">
          <a className="button" href={linkTo(['exchange'])}>
            <Icon name="exchange" /> {words.exchange.title}
          </a>
          <a className="button primary" href={linkTo(['new'])}>
            <Icon name="plus" /> {words.rules.add}
          </a>
        </div>
      )}
    </div>
  )
}

/** What listens is told apart from what somebody answers behind. */
function countsOf(rules: readonly RuleStatus[]): RuleCounts {
  const states = rules.map(shownState)
  const count = (wanted: string): number => states.filter((state) => state === wanted).length
  return { total: rules.length, open: count('open'), untried: count('untried'), silent: count('silent') }
}

function NoRules() {
  const { words } = useWords()
  return (
    <div className="empty card">
      <h2>{words.rules.none}</h2>
      <p>{words.rules.noneText}</p>
    </div>
  )
}
