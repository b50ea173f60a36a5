/** What is done to all chosen rules: asked first, then rule by rule, with what became of each. */
import { useEffect, useRef, useState } from 'react'
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import { Icon, type IconName } from '../parts/icon.tsx'
import { bulkChange, type BulkAction, type BulkResult } from '../state/changes.ts'
import { useWords } from '../words/index.ts'

const icons: Readonly<Record<BulkAction, IconName>> = { enable: 'check', disable: 'none', remove: 'trash' }
const actions = Object.keys(icons) as BulkAction[]

export interface BulkProps {
  readonly rules: readonly RuleStatus[]
  readonly onClear: () => void
}

export function Bulk({ rules, onClear }: BulkProps) {
  const { words } = useWords()
  const [asked, setAsked] = useState<{ action: BulkAction; rules: readonly RuleStatus[] } | null>(null)
  if (rules.length === 0 && asked === null) return null
  return (
    <>
      <div className="bulk" role="region" aria-label={words.rules.chosen(rules.length)}>
        <b className="figure">{words.rules.chosen(rules.length)}</b>
        {actions.map((action) => (
          <button
            key={action}
            type="button"
            className="button small"
            onClick={() => setAsked({ action, rules })}
          >
            <Icon name={icons[action]} size={14} /> {words.rules.bulk[action]}
          </button>
        ))}
        <button type="button" className="button small" onClick={onClear}>
          {words.rules.chooseNone}
        </button>
      </div>
      {asked && (
        <BulkDialog
          {...asked}
          // Whoever chooses anew while it is done, or right after, loses nothing of that.
          onBegin={onClear}
          onEnd={() => setAsked(null)}
        />
      )}
    </>
  )
}

interface BulkDialogProps {
  readonly action: BulkAction
  readonly rules: readonly RuleStatus[]
  readonly onBegin: () => void
  readonly onEnd: () => void
}

type Stage = 'asking' | 'doing' | 'done'

function BulkDialog({ action, rules, onBegin, onEnd }: BulkDialogProps) {
  const { words } = useWords()
  const box = useRef<HTMLDialogElement>(null)
  const [results, setResults] = useState<ReadonlyMap<string, BulkResult>>(new Map())
  const [state, setState] = useState<Stage>('asking')
  const stop = useRef(new AbortController())
  useEffect(() => {
    box.current?.showModal()
    const { current } = stop
    return () => current.abort()
  }, [])
  const go = async (): Promise<void> => {
    setState('doing')
    onBegin()
    await bulkChange(action, rules, {
      signal: stop.current.signal,
      onResult: (name, result) => setResults((before) => new Map(before).set(name, result)),
    })
    setState('done')
  }
  const failed = [...results.values()].filter((result) => result !== 'done').length
  return (
    <dialog
      ref={box}
      className="dialog"
      aria-labelledby="bulk-title"
      onCancel={(event) => state === 'doing' && event.preventDefault()}
      onClose={onEnd}
    >
      <h2 id="bulk-title">
        {state === 'asking'
          ? words.rules.bulkAsk[action](rules.length)
          : words.rules.bulkDone(results.size - failed, failed, rules.length)}
      </h2>
      {state === 'asking' && action !== 'enable' && <p className="quiet">{words.rules.bulkConnections}</p>}
      <ul className="bulk-list" aria-live="polite" tabIndex={0} aria-label={words.rules.caption}>
        {rules.map(({ name }) => (
          <Outcome key={name} name={name} result={results.get(name) ?? null} />
        ))}
      </ul>
      <Buttons
        action={action}
        stage={state}
        onGo={() => void go()}
        onStop={() => stop.current.abort()}
        onClose={() => box.current?.close()}
      />
    </dialog>
  )
}

interface ButtonsProps {
  readonly action: BulkAction
  readonly stage: Stage
  readonly onGo: () => void
  readonly onStop: () => void
  readonly onClose: () => void
}

function Buttons({ action, stage, onGo, onStop, onClose }: ButtonsProps) {
  const { words } = useWords()
  return (
    <div className="row dialog-buttons">
      {stage === 'asking' && (
        <>
          <button type="button" className="button" onClick={onClose}>
            {words.form.cancel}
          </button>
          <button
            type="button"
            className={action === 'remove' ? 'button danger' : 'button primary'}
            onClick={onGo}
          >
            <Icon name={icons[action]} size={14} /> {words.rules.bulk[action]}
          </button>
        </>
      )}
      {stage === 'doing' && (
        <button type="button" className="button" onClick={onStop}>
          {words.doctor.stop}
        </button>
      )}
      {stage === 'done' && (
        <button type="button" className="button primary" onClick={onClose}>
          {words.rules.close}
        </button>
      )}
    </div>
  )
}

function Outcome({ name, result }: { readonly name: string; readonly result: BulkResult | null }) {
  const { words, say } = useWords()
  const failed = result !== null && result !== 'done'
  return (
    <li data-result={result === null ? 'waiting' : failed ? 'failed' : 'done'}>
      {result !== null && <Icon name={failed ? 'cross' : 'check'} size={14} />}
      <span>
        {name}
        {result === 'done' && <span className="hidden">: {words.rules.bulkOne}</span>}
        {failed && <span className="problem-text">: {say(result)}</span>}
      </span>
    </li>
  )
}
