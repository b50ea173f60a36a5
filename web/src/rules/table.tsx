/**
 * The list itself. A screen and a half of rows is drawn at first, more as one scrolls on: hundreds at once would keep
 * the browser from anything else for the time of several frames.
 */
import { memo, startTransition, useEffect, useMemo, useRef, useState } from 'react'
import { SortedHead } from '../parts/sorted-head.tsx'
import { useWords } from '../words/index.ts'
import { setFields } from '../state/place.ts'
import type { Group, Order, Arrangement } from './arrange.ts'
import { cellCount, Row } from './row.tsx'

const shownAtFirst = 20
const step = 5
/** Rows are ready this far below the screen. */
const aheadPx = 1500

export interface TableProps {
  readonly groups: readonly Group[]
  readonly wish: Arrangement
  readonly mayChange: boolean
  readonly chosen: ReadonlySet<string>
  readonly onChoose: (name: string, chosen: boolean) => void
  readonly onChooseAll: (chosen: boolean) => void
}

export const Table = memo(function Table({
  groups,
  wish,
  mayChange,
  chosen,
  onChoose,
  onChooseAll,
}: TableProps) {
  const { words } = useWords()
  const [shown, setShown] = useState(shownAtFirst)
  const total = groups.reduce((sum, { rules }) => sum + rules.length, 0)
  const drawn = useMemo(() => firstOf(groups, shown), [groups, shown])
  const more = (): void => startTransition(() => setShown((before) => before + step))
  const allChosen = total > 0 && groups.every(({ rules }) => rules.every(({ name }) => chosen.has(name)))
  return (
    <>
      <table className="rules" data-compact={wish.compact} data-chooses={mayChange}>
        <caption className="hidden">{words.rules.caption}</caption>
        <Heads wish={wish} mayChange={mayChange} allChosen={allChosen} onChooseAll={onChooseAll} />
        {drawn.map(({ tag, rules, count }) => [
          wish.grouped && <GroupHead key={`# ${tag}`} tag={tag} count={count} mayChange={mayChange} />,
          ...rules.map((rule) => (
            <Row
              key={rule.name}
              rule={rule}
              compact={wish.compact}
              mayChange={mayChange}
              chosen={chosen.has(rule.name)}
              onChoose={onChoose}
            />
          )),
        ])}
      </table>
      {total > shown && <Onward key={shown} left={total - shown} onMore={more} />}
    </>
  )
})

/** The first so many rules, each group with how many there are of it in all. */
function firstOf(groups: readonly Group[], most: number): readonly (Group & { readonly count: number })[] {
  let left = most
  return groups.flatMap(({ tag, rules }) => {
    if (left <= 0) return []
    const some = rules.slice(0, left)
    left -= some.length
    return [{ tag, rules: some, count: rules.length }]
  })
}

/** Draws on as soon as it comes near the screen; a button for who goes by keyboard or has no such watch. */
function Onward({ left, onMore }: { readonly left: number; readonly onMore: () => void }) {
  const { words } = useWords()
  const button = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    const watcher = new IntersectionObserver(([seen]) => seen?.isIntersecting && onMore(), {
      rootMargin: `0px 0px ${aheadPx}px 0px`,
    })
    if (button.current) watcher.observe(button.current)
    return () => watcher.disconnect()
  })
  return (
    <button ref={button} type="button" className="button onward" onClick={onMore}>
      {words.rules.more(left)}
    </button>
  )
}

function GroupHead({
  tag,
  count,
  mayChange,
}: {
  readonly tag: string | null
  readonly count: number
  readonly mayChange: boolean
}) {
  const { words } = useWords()
  return (
    <tbody className="group">
      <tr>
        <th scope="rowgroup" colSpan={cellCount + (mayChange ? 1 : 0)}>
          {tag ?? words.rules.noTag} <span className="quiet">{words.rules.count(count)}</span>
        </th>
      </tr>
    </tbody>
  )
}

interface HeadsProps {
  readonly wish: Arrangement
  readonly mayChange: boolean
  readonly allChosen: boolean
  readonly onChooseAll: (chosen: boolean) => void
}

function Heads({ wish, mayChange, allChosen, onChooseAll }: HeadsProps) {
  const { words } = useWords()
  const heads: readonly (readonly [string, string, Order | null])[] = [
    ['on', words.rules.on, null],
    ['name', words.rules.name, 'name'],
    ['external', words.rules.externalPort, 'port'],
    ['internal', words.rules.internalPort, null],
    ['target', words.rules.target, 'target'],
    ['protocol', words.rules.protocol, null],
    ['source', words.rules.source, null],
  ]
  return (
    <thead>
      <tr>
        {mayChange && (
          <th scope="col" className="choose">
            <input
              type="checkbox"
              checked={allChosen}
              aria-label={words.rules.chooseAll}
              onChange={(event) => onChooseAll(event.target.checked)}
            />
          </th>
        )}
        {heads.map(([column, text, order]) =>
          order === null ? (
            <th key={column} scope="col" data-column={column}>
              {text}
            </th>
          ) : (
            <SortedHead
              key={column}
              column={column}
              text={text}
              order={wish.order === order ? (wish.reversed ? 'descending' : 'ascending') : null}
              onSort={() =>
                setFields({ sort: order, reversed: wish.order === order && !wish.reversed ? '1' : '' })
              }
            />
          ),
        )}
        <th scope="col" data-column="actions">
          <span className="hidden">{words.rules.actions}</span>
        </th>
      </tr>
    </thead>
  )
}
