/** Paste or choose a file, see what comes of it and what is lost, then add. */
import { useRef, useState, type ChangeEvent } from 'react'
import { mostImportText } from '../../../src/api/protocol/wire.ts'
import type { Preview } from '../../../src/api/client/import-export.ts'
import { toNaruError, type NaruError } from '../../../src/base/errors.ts'
import type { Text } from '../../../src/base/text.ts'
import { importFormats, type ImportFormat, type NamedRule } from '../../../src/model/import-export.ts'
import { Field } from '../form/fields.tsx'
import { PlainTable } from '../parts/columns-table.tsx'
import { listOf } from '../parts/columns.ts'
import { Failure } from '../parts/failure.tsx'
import { Icon } from '../parts/icon.tsx'
import { client, exchange } from '../state/naru.ts'
import { linkTo } from '../state/place.ts'
import { bytesText } from '../words/figures.ts'
import { useWords } from '../words/index.ts'
import { Losses } from './losses.tsx'

type Read = { readonly preview: Preview } | { readonly why: NaruError }

export function Import() {
  const { words } = useWords()
  const { exchange: x } = words
  const { text, from, read, tooLarge, change, choose, take, look } = useImport()
  const chooser = useRef<HTMLInputElement>(null)
  return (
    <section className="card">
      <h2>{x.import}</h2>
      <Field
        label={x.text}
        hint={x.textHint(importFormats.join(', '))}
        problem={tooLarge ? x.tooLarge(bytesText(mostImportText)) : undefined}
      >
        {(described) => (
          <textarea
            {...described}
            className="code"
            rows={8}
            spellCheck={false}
            value={text}
            onChange={(event) => change(event.target.value, null)}
          />
        )}
      </Field>
      <div className="row ask below">
        <input ref={chooser} type="file" hidden onChange={(event) => void choose(event)} />
        <button type="button" className="button" onClick={() => chooser.current?.click()}>
          {x.choose}
        </button>
        <Field label={x.from}>
          {(described) => (
            <select
              {...described}
              value={from}
              onChange={(event) => take(event.target.value as ImportFormat | '')}
            >
              <option value="">{x.detect}</option>
              {importFormats.map((format) => (
                <option key={format}>{format}</option>
              ))}
            </select>
          )}
        </Field>
        <button
          type="button"
          className="button primary"
          disabled={text.trim() === '' || tooLarge || read === 'busy'}
          onClick={() => void look()}
        >
          <Icon name="search" /> {read === 'busy' ? x.reading : x.preview}
        </button>
      </div>
      <div aria-live="polite">
        {read !== null && read !== 'busy' && 'why' in read && <Failure why={read.why} />}
        {read !== null && read !== 'busy' && 'preview' in read && <Found preview={read.preview} />}
      </div>
    </section>
  )
}

/** What is to be read, as what, and what came of it, which another text or format makes void. */
function useImport() {
  const [text, setText] = useState('')
  const [file, setFile] = useState<string | null>(null)
  const [from, setFrom] = useState<ImportFormat | ''>('')
  const [read, setRead] = useState<Read | 'busy' | null>(null)
  const [tooLarge, setTooLarge] = useState(false)
  const change = (next: string, name: string | null): void => {
    setText(next)
    setFile(name)
    setRead(null)
    setTooLarge(next.length > mostImportText)
  }
  const choose = async ({ target }: ChangeEvent<HTMLInputElement>): Promise<void> => {
    const chosen = target.files?.[0]
    if (!chosen) return
    // It is not read at all where it is too large.
    if (chosen.size > 4 * mostImportText) setTooLarge(true)
    else change(await chosen.text(), chosen.name)
    target.value = ''
  }
  const look = async (): Promise<void> => {
    setRead('busy')
    const named = { ...(file !== null && { file }), ...(from !== '' && { from }) }
    const signal = AbortSignal.timeout(30_000)
    setRead(
      await exchange.preview(text, { ...named, signal }).then(
        (preview) => ({ preview }),
        (error: unknown) => ({ why: toNaruError(error) }),
      ),
    )
  }
  const take = (next: ImportFormat | ''): void => {
    setFrom(next)
    setRead(null)
  }
  return { text, from, read, tooLarge, change, choose, take, look }
}

type Result = 'added' | 'there' | { readonly why: Text }

/** Rules that are added together, of which the file is written once. */
const atOnce = 200

async function added(some: readonly NamedRule[], disabled: boolean): Promise<(readonly [string, Result])[]> {
  const written = some.map(({ name, rule }) => ({
    name,
    rule: disabled ? { ...rule, enabled: false } : rule,
  }))
  try {
    const { rules } = await client.rules.addAll(written)
    return rules.map(({ name, problem }) => [name, problem ? { why: problem.message } : 'added'])
  } catch (error) {
    const { text } = toNaruError(error)
    return some.map(({ name }) => [name, { why: text }])
  }
}

function Found({ preview: { rules, losses, format } }: { readonly preview: Preview }) {
  const { words } = useWords()
  const { exchange: x } = words
  const [disabled, setDisabled] = useState(false)
  const [results, setResults] = useState<ReadonlyMap<string, Result>>(new Map())
  const [busy, setBusy] = useState(false)
  const fresh = rules.filter(({ isThere }) => !isThere)
  const add = async (): Promise<void> => {
    setBusy(true)
    for (let at = 0; at < fresh.length; at += atOnce) {
      const some = fresh.slice(at, at + atOnce)
      const told = await added(some, disabled)
      setResults((before) => new Map([...before, ...told]))
    }
    setBusy(false)
  }
  const failed = [...results.values()].filter((result) => typeof result === 'object').length
  const isDone = !busy && results.size > 0
  return (
    <>
      <h3>{x.found(rules.length, format)}</h3>
      <PlainTable
        caption={x.found(rules.length, format)}
        heads={[words.rules.name, words.rules.externalPort, words.rules.target, x.more, '']}
        none={words.machine.unknown}
        rows={rules.map((found) => ({ key: found.name, cells: cellsOf(found, results.get(found.name)) }))}
      />
      <Losses losses={losses} />
      {fresh.length > 0 && !isDone && (
        <div className="row below">
          <label className="box">
            <input
              type="checkbox"
              checked={disabled}
              onChange={(event) => setDisabled(event.target.checked)}
            />
            {x.disabled}
          </label>
          <button type="button" className="button primary" disabled={busy} onClick={() => void add()}>
            <Icon name="plus" /> {busy ? x.adding(results.size, fresh.length) : x.add(fresh.length)}
          </button>
        </div>
      )}
      {isDone && (
        <p className="below" role="status">
          <b>{x.added(results.size - failed, failed)}</b> {!disabled && x.stillRuns}
        </p>
      )}
    </>
  )
}

function cellsOf(found: NamedRule, result: Result | undefined) {
  const { name, rule, place, isThere } = found
  const { listen, target, targets, ...rest } = rule
  const to = target === undefined ? listOf(targets) : listOf(target)
  return [
    name,
    listOf(listen).join(', '),
    to.join(', '),
    Object.entries(rest).map(([key, value]) => (
      <div key={key}>
        <code>
          {key}: {typeof value === 'string' ? value : JSON.stringify(value)}
        </code>
      </div>
    )),
    <State key="state" name={name} line={place.line} result={isThere ? 'there' : result} />,
  ]
}

interface StateProps {
  readonly name: string
  readonly line: number
  readonly result: Result | undefined
}

function State({ name, line, result }: StateProps) {
  const { words, say } = useWords()
  const { exchange: x } = words
  if (result === undefined) return <span className="quiet">{x.line(line)}</span>
  if (result === 'there') return <a href={linkTo(['rules', name])}>{x.isThere}</a>
  if (result === 'added')
    return (
      <a href={linkTo(['rules', name])}>
        <Icon name="check" size={14} /> {words.rules.bulkOne}
      </a>
    )
  return (
    <span className="problem-text">
      <Icon name="cross" size={14} /> {say(result.why)}
    </span>
  )
}
