/** A rule of the list: the columns a router's page has, and below them the path, live. Drawn anew only where it changed. */
import { memo } from 'react'
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import { Breakable } from '../parts/breakable.tsx'
import { StateBadge } from '../parts/badge.tsx'
import { columnsOf, isLoopbackOnly } from '../parts/columns.ts'
import { furthestOf, Give } from '../parts/give.tsx'
import { Icon } from '../parts/icon.tsx'
import { HopStrip } from '../parts/strip.tsx'
import { deleteRule } from '../state/changes.ts'
import { linkTo, setFields } from '../state/place.ts'
import { useWords } from '../words/index.ts'
import { tagsOf, titleOf } from './arrange.ts'
import { Live, OnSwitch } from './live.tsx'

export interface RowProps {
  readonly rule: RuleStatus
  readonly compact: boolean
  readonly mayChange: boolean
  readonly chosen: boolean
  readonly onChoose: (name: string, chosen: boolean) => void
}

/** Cells of a row; with the box to choose it one more. */
export const cellCount = 8

export const Row = memo(function Row({ rule, compact, mayChange, chosen, onChoose }: RowProps) {
  const { words } = useWords()
  const columns = columnsOf(rule)
  const { name, state } = rule
  return (
    <tbody className="rule" data-state={state} data-rule={name} data-chosen={chosen || undefined}>
      <tr>
        {mayChange && (
          <td className="choose">
            <input
              type="checkbox"
              checked={chosen}
              aria-label={words.rules.choose(name)}
              onChange={(event) => onChoose(name, event.target.checked)}
            />
          </td>
        )}
        <td className="on">
          <OnSwitch rule={rule} />
        </td>
        <th scope="row">
          <Name rule={rule} />
        </th>
        <td data-label={words.rules.externalPort} className="figure port">
          {columns.externalPort}
        </td>
        <td data-label={words.rules.internalPort} className="figure port">
          {columns.internalPort}
        </td>
        <td data-label={words.rules.target} className="figure">
          <span>
            {columns.target === '' ? words.rules.thisMachine : <Breakable text={columns.target} />}
            {columns.moreTargets > 0 && (
              <span className="quiet"> {words.rules.andMore(columns.moreTargets)}</span>
            )}
          </span>
        </td>
        <td data-label={words.rules.protocol}>{columns.protocol}</td>
        <td data-label={words.rules.source} className="figure">
          <span>
            <Source rule={rule} source={columns.source} />
          </span>
        </td>
        <td className="actions">{mayChange && <Actions rule={rule} />}</td>
      </tr>
      {!compact && <More rule={rule} mayChange={mayChange} />}
    </tbody>
  )
})

function Name({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const title = titleOf(rule)
  return (
    <div className="name">
      <a href={linkTo(['rules', rule.name])}>{title}</a>
      {title !== rule.name && <span className="quiet small-text">{rule.name}</span>}
      <StateBadge rule={rule} />
      {tagsOf(rule).map((tag) => (
        <button
          key={tag}
          type="button"
          className="tag"
          aria-label={words.rules.onlyTag(tag)}
          onClick={() => setFields({ tag })}
        >
          {tag}
        </button>
      ))}
    </div>
  )
}

function More({ rule, mayChange }: { readonly rule: RuleStatus; readonly mayChange: boolean }) {
  const address = furthestOf(rule)
  return (
    <tr className="rule-more">
      {mayChange && <td className="choose" />}
      <td className="on" />
      <td colSpan={cellCount - 1}>
        <div className="rule-below">
          <div className="rule-live">
            <HopStrip rule={rule} />
            <Live rule={rule} />
          </div>
          {address && <Give address={address} />}
        </div>
      </td>
    </tr>
  )
}

function Source({ rule, source }: { readonly rule: RuleStatus; readonly source: readonly string[] }) {
  const { words } = useWords()
  if (isLoopbackOnly(rule)) return <span className="quiet">{words.rules.onlyThisMachine}</span>
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
