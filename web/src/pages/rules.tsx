/** Every rule in the columns a router's page has, and below them what that page never told: the path, live. */
import { memo, useDeferredValue, useMemo, useState } from 'react'
import type { RuleStatus } from '../../../src/model/face.ts'
import { StateBadge } from '../parts/badge.tsx'
import { columnsOf } from '../parts/columns.ts'
import { Icon } from '../parts/icon.tsx'
import { HopStrip } from '../parts/strip.tsx'
import { Switch } from '../parts/switch.tsx'
import { deleteRule, switchRule } from '../state/changes.ts'
import { naru } from '../state/naru.ts'
import { useNow } from '../state/now.ts'
import { linkTo } from '../state/place.ts'
import { useWatched } from '../state/watched.ts'
import { durationText, rateText } from '../words/figures.ts'
import { useWords } from '../words/index.ts'

/** More rows than this are drawn when asked for. */
const shownAtFirst = 100

export function RulesPage() {
  const { words } = useWords()
  const rules = useWatched(naru.rules)
  const access = useWatched(naru.access)
  const [find, setFind] = useState('')
  const wanted = useDeferredValue(find.trim().toLowerCase())
  const found = useMemo(() => (rules ?? []).filter((rule) => matches(rule, wanted)), [rules, wanted])
  const open = (rules ?? []).filter(({ state }) => state === 'open').length
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{words.rules.title}</h1>
          <p className="quiet">{rules && words.rules.lead(open, rules.length)}</p>
        </div>
        {(rules?.length ?? 0) > 5 && (
          <label className="find">
            <Icon name="search" />
            <span className="hidden">{words.rules.find}</span>
            <input
              type="search"
              placeholder={words.rules.findHint}
              value={find}
              onChange={(event) => setFind(event.target.value)}
            />
          </label>
        )}
        {access === 'full' && (
          <a className="button primary" href={linkTo(['new'])}>
            <Icon name="plus" /> {words.rules.add}
          </a>
        )}
      </div>
      {rules === null ? (
        <p className="quiet">{words.link.starting}</p>
      ) : (
        <Table rules={found} all={rules.length} />
      )}
    </>
  )
}

function matches({ name, listen, targets }: RuleStatus, wanted: string): boolean {
  return wanted === '' || [name, listen, ...targets].some((text) => text.toLowerCase().includes(wanted))
}

function Table({ rules, all }: { readonly rules: readonly RuleStatus[]; readonly all: number }) {
  const { words } = useWords()
  const [shown, setShown] = useState(shownAtFirst)
  if (rules.length === 0) return all === 0 ? <NoRules /> : <p className="quiet">{words.rules.noMatch}</p>
  const heads = [
    words.rules.on,
    words.rules.name,
    words.rules.externalPort,
    words.rules.internalPort,
    words.rules.target,
    words.rules.protocol,
    words.rules.source,
  ]
  return (
    <>
      <table className="rules">
        <caption className="hidden">{words.rules.caption}</caption>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
            <th scope="col">
              <span className="hidden">{words.rules.actions}</span>
            </th>
          </tr>
        </thead>
        {rules.slice(0, shown).map((rule) => (
          <Row key={rule.name} rule={rule} />
        ))}
      </table>
      {rules.length > shown && (
        <button type="button" className="button" onClick={() => setShown(shown + 10 * shownAtFirst)}>
          {words.rules.more(Math.min(rules.length - shown, 10 * shownAtFirst))}
        </button>
      )}
    </>
  )
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

const Row = memo(function Row({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const columns = columnsOf(rule)
  const { name, state } = rule
  return (
    <tbody className="rule" data-state={state} data-rule={name}>
      <tr>
        <td data-label={words.rules.on}>
          <OnSwitch rule={rule} />
        </td>
        <th scope="row" data-label={words.rules.name}>
          <a href={linkTo(['rules', name])}>{name}</a>
          <StateBadge state={state} />
        </th>
        <td data-label={words.rules.externalPort} className="figure">
          {columns.externalPort}
        </td>
        <td data-label={words.rules.internalPort} className="figure">
          {columns.internalPort}
        </td>
        <td data-label={words.rules.target} className="figure">
          {columns.target === '' ? words.rules.thisMachine : columns.target}
          {columns.moreTargets > 0 && (
            <span className="quiet"> {words.rules.andMore(columns.moreTargets)}</span>
          )}
        </td>
        <td data-label={words.rules.protocol}>{columns.protocol}</td>
        <td data-label={words.rules.source} className="figure">
          <Source source={columns.source} />
        </td>
        <td className="actions">
          <Actions rule={rule} />
        </td>
      </tr>
      <tr className="rule-more">
        <td />
        <td colSpan={7}>
          <div className="rule-live">
            <HopStrip rule={rule} />
            <Live rule={rule} />
          </div>
        </td>
      </tr>
    </tbody>
  )
})

export function OnSwitch({ rule: { name, rule } }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const access = useWatched(naru.access)
  const [wish, setWish] = useState<boolean | null>(null)
  const on = rule.enabled !== false
  const change = async (next: boolean): Promise<void> => {
    setWish(next)
    await switchRule(name, next)
    setWish(null)
  }
  return (
    <Switch
      on={wish ?? on}
      label={words.rules.onNamed(name)}
      disabled={access === 'read' || wish !== null}
      onSwitch={(next) => void change(next)}
    />
  )
}

function Source({ source }: { readonly source: readonly string[] }) {
  const { words } = useWords()
  if (source.length === 0) return <span className="quiet">{words.rules.anyone}</span>
  return (
    <>
      {source[0]}
      {source.length > 1 && (
        <span className="quiet" title={source.slice(1).join('\n')}>
          {' '}
          {words.rules.andMore(source.length - 1)}
        </span>
      )}
    </>
  )
}

function Actions({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const access = useWatched(naru.access)
  if (access === 'read') return null
  const { name } = rule
  return (
    <>
      <a
        className="button icon-only"
        href={linkTo(['rules', name, 'edit'])}
        aria-label={words.rules.editNamed(name)}
      >
        <Icon name="edit" />
      </a>
      <button
        type="button"
        className="button icon-only"
        aria-label={words.rules.deleteNamed(name)}
        onClick={() => void deleteRule(rule)}
      >
        <Icon name="trash" />
      </button>
    </>
  )
}

/** Engine, connections, rates and expiry in a line. */
export function Live({ rule }: { readonly rule: RuleStatus }) {
  const { words, say } = useWords()
  const { engine, counters, rate, until } = rule
  return (
    <ul className="live">
      {engine && (
        <li title={say(engine.why)}>
          <span className="hidden">{words.rules.engine}: </span>
          <span className="engine">{engine.id}</span>
          <span className="engine-why"> {say(engine.why)}</span>
        </li>
      )}
      {counters.open > 0 && <li className="figure">{words.rules.connections(counters.open)}</li>}
      {rate.toTarget + rate.toClient > 0 && (
        <li className="figure rates">
          <Icon name="down" size={12} />
          <span className="hidden">{words.rules.toTarget} </span>
          {rateText(rate.toTarget)} <Icon name="up" size={12} />
          <span className="hidden">{words.rules.toClient} </span>
          {rateText(rate.toClient)}
        </li>
      )}
      {until !== null && (
        <li className="figure">
          <Icon name="clock" size={12} /> <Countdown until={until} />
        </li>
      )}
    </ul>
  )
}

function Countdown({ until }: { readonly until: number }) {
  const { words } = useWords()
  const now = useNow()
  return until <= now ? words.rules.expired : words.rules.expires(durationText(until - now, words))
}
