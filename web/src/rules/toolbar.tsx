/** What of the list is shown and how; all of it is in the address of the page. */
import { Icon } from '../parts/icon.tsx'
import { setFields } from '../state/place.ts'
import { useWords } from '../words/index.ts'
import { orders, stateFilters, type Arrangement } from './arrange.ts'

export interface ToolbarProps {
  readonly wish: Arrangement
  readonly tags: readonly string[]
}

export function Toolbar({ wish, tags }: ToolbarProps) {
  const { words } = useWords()
  const { rules: r } = words
  return (
    <search className="toolbar">
      <label className="find">
        <Icon name="search" />
        <span className="hidden">{r.find}</span>
        <input
          type="search"
          placeholder={r.findHint}
          value={wish.find}
          onChange={(event) => setFields({ find: event.target.value }, { typed: true })}
        />
      </label>
      <Pick
        label={r.stateFilter}
        value={wish.state}
        options={stateFilters.map((value) => [value, r.stateFilters[value || 'any']])}
        onPick={(state) => setFields({ state })}
      />
      {tags.length > 0 && (
        <Pick
          label={r.tag}
          value={wish.tag}
          options={[['', r.anyTag], ...tags.map((tag): [string, string] => [tag, tag])]}
          onPick={(tag) => setFields({ tag })}
        />
      )}
      <Pick
        label={r.order}
        value={wish.order}
        options={orders.map((value) => [value, r.orders[value || 'file']])}
        onPick={(sort) => setFields({ sort, reversed: '' })}
      />
      {tags.length > 0 && (
        <Box
          label={r.grouped}
          checked={wish.grouped}
          onCheck={(on) => setFields({ group: on ? 'tag' : '' })}
        />
      )}
      <Box
        label={r.compact}
        checked={wish.compact}
        onCheck={(on) => setFields({ compact: on ? '1' : '0' })}
      />
    </search>
  )
}

interface PickProps {
  readonly label: string
  readonly value: string
  readonly options: readonly (readonly [value: string, text: string])[]
  readonly onPick: (value: string) => void
}

function Pick({ label, value, options, onPick }: PickProps) {
  return (
    <label className="pick-one">
      <span className="quiet small-text">{label}</span>
      <select value={value} onChange={(event) => onPick(event.target.value)}>
        {options.map(([one, text]) => (
          <option key={one} value={one}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}

interface BoxProps {
  readonly label: string
  readonly checked: boolean
  readonly onCheck: (checked: boolean) => void
}

function Box({ label, checked, onCheck }: BoxProps) {
  return (
    <label className="box">
      <input type="checkbox" checked={checked} onChange={(event) => onCheck(event.target.checked)} />
      {label}
    </label>
  )
}
