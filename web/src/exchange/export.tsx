/** Rules as another program's file: to read, copy and download, with what it cannot say. */
import { useState } from 'react'
import { toNaruError, type NaruError } from '../../../src/base/errors.ts'
import {
  exportFiles,
  exportFormats,
  type Exported,
  type ExportFormat,
} from '../../../src/model/import-export.ts'
import { Field } from '../form/fields.tsx'
import { Copy } from '../parts/copy.tsx'
import { Failure } from '../parts/failure.tsx'
import { RuleOptions } from '../parts/rule-options.tsx'
import { exchange, naru } from '../state/naru.ts'
import { useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'
import { Losses } from './losses.tsx'

export function Export() {
  const { words } = useWords()
  const { exchange: x } = words
  const rules = useWatched(naru.rules) ?? []
  const [to, setTo] = useState<ExportFormat>('nft')
  const [rule, setRule] = useState('')
  const [written, setWritten] = useState<Exported | { readonly why: NaruError } | null>(null)
  const write = async (): Promise<void> => {
    const signal = AbortSignal.timeout(30_000)
    setWritten(
      await exchange
        .write(to, { signal, ...(rule !== '' && { rule }) })
        .catch((error: unknown) => ({ why: toNaruError(error) })),
    )
  }
  return (
    <section className="card">
      <h2>{x.export}</h2>
      <div className="row ask">
        <Field label={x.to}>
          {(described) => (
            <select {...described} value={to} onChange={(event) => setTo(event.target.value as ExportFormat)}>
              {exportFormats.map((format) => (
                <option key={format}>{format}</option>
              ))}
            </select>
          )}
        </Field>
        <Field label={x.whichRule}>
          {(described) => (
            <select {...described} value={rule} onChange={(event) => setRule(event.target.value)}>
              <option value="">{x.which(rules.length)}</option>
              <RuleOptions rules={rules} />
            </select>
          )}
        </Field>
        <button type="button" className="button primary" onClick={() => void write()}>
          {x.write}
        </button>
      </div>
      <div aria-live="polite">
        {written !== null && 'why' in written && <Failure why={written.why} />}
        {written !== null && 'text' in written && <Written exported={written} />}
      </div>
    </section>
  )
}

function Written({ exported: { format, text, rules, losses } }: { readonly exported: Exported }) {
  const { words } = useWords()
  const { exchange: x } = words
  return (
    <>
      <div className="card-head below">
        <h3>{x.exported(rules.length)}</h3>
        <span className="row">
          <Copy text={text} />
          <button type="button" className="button small" onClick={() => download(exportFiles[format], text)}>
            {x.download} {exportFiles[format]}
          </button>
        </span>
      </div>
      <pre className="written" tabIndex={0} aria-label={exportFiles[format]}>
        {text}
      </pre>
      <Losses losses={losses} />
    </>
  )
}

function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // The browser has taken it by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
