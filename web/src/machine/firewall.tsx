/** `naru firewall`: which one decides here, what it lets in, and what it would say to a packet. */
import { useState } from 'react'
import { toNaruError, type NaruError } from '../../../src/base/errors.ts'
import type { FirewallAnswer, FirewallQuestion, FirewallStatus } from '../../../src/model/firewall.ts'
import type { FirewallReport } from '../../../src/model/machine-api.ts'
import { useAsked } from '../parts/ask.ts'
import { Choice } from '../parts/choice.tsx'
import { PlainTable } from '../parts/columns-table.tsx'
import { Failure } from '../parts/failure.tsx'
import { Icon } from '../parts/icon.tsx'
import { Field } from '../form/fields.tsx'
import { machine } from '../state/naru.ts'
import { useWords } from '../words/index.ts'
import { Look } from './look.tsx'

const ask = (signal: AbortSignal): Promise<FirewallReport> => machine.firewall({ signal })

export function FirewallTab() {
  const { words, say } = useWords()
  const asked = useAsked(ask)
  return (
    <>
      <Look title={words.machine.firewall} asked={asked}>
        {({ status, why }) => (
          <>
            {status && <Status status={status} />}
            <p className="quiet below">{say(why)}</p>
            {status && <Open status={status} />}
          </>
        )}
      </Look>
      <Explain />
    </>
  )
}

function Status({ status: { member, active, defaultInput } }: { readonly status: FirewallStatus }) {
  const { words } = useWords()
  const { machine: m } = words
  return (
    <dl className="facts">
      <div>
        <dt>{m.firewall}</dt>
        <dd>
          {member} <span className="quiet">{active ? m.active : m.inactive}</span>
        </dd>
      </div>
      <div>
        <dt>{m.default}</dt>
        <dd>{m.defaultKind[defaultInput]}</dd>
      </div>
    </dl>
  )
}

function Open({ status: { open } }: { readonly status: FirewallStatus }) {
  const { words } = useWords()
  const { machine: m } = words
  return (
    <>
      <h3>{m.openPorts}</h3>
      <PlainTable
        caption={m.openPorts}
        heads={[m.port, m.from, m.belongs, m.entry]}
        none={m.noOpen}
        rows={open.map(({ protocol, ports, from, ours, text }, index) => ({
          key: `${index}${text}`,
          cells: [
            ports === null ? protocol : `${rangeText(ports)}/${protocol}`,
            from ?? m.anywhere,
            ours ?? '–',
            <code key="text">{text}</code>,
          ],
        }))}
      />
    </>
  )
}

function rangeText({ first, last }: { readonly first: number; readonly last: number }): string {
  return first === last ? String(first) : `${first}-${last}`
}

type Answer = FirewallAnswer | { readonly why: NaruError }

function Explain() {
  const { words } = useWords()
  const [answer, setAnswer] = useState<Answer | null>(null)
  const explain = async (question: FirewallQuestion): Promise<void> => {
    const signal = AbortSignal.timeout(30_000)
    setAnswer(
      await machine.admits(question, { signal }).catch((error: unknown) => ({ why: toNaruError(error) })),
    )
  }
  return (
    <section className="card">
      <h2>{words.machine.explain}</h2>
      <Question onAsk={(question) => void explain(question)} />
      <div aria-live="polite">
        {answer && 'verdict' in answer && <Explained answer={answer} />}
        {answer && !('verdict' in answer) && <Failure why={answer.why} />}
      </div>
    </section>
  )
}

function Question({ onAsk }: { readonly onAsk: (question: FirewallQuestion) => void }) {
  const { words } = useWords()
  const { machine: m } = words
  const [protocol, setProtocol] = useState<'tcp' | 'udp'>('tcp')
  const [port, setPort] = useState('')
  const [from, setFrom] = useState('')
  return (
    <form
      className="row explain"
      onSubmit={(event) => {
        event.preventDefault()
        onAsk({ protocol, port: Number(port), from: from.trim() || null })
      }}
    >
      <Field label={m.port}>
        {(described) => (
          <input
            {...described}
            inputMode="numeric"
            value={port}
            onChange={(event) => setPort(event.target.value)}
          />
        )}
      </Field>
      <Choice
        label={words.rules.protocol}
        value={protocol}
        options={[
          { value: 'tcp', text: 'TCP' },
          { value: 'udp', text: 'UDP' },
        ]}
        onChoose={setProtocol}
      />
      <Field label={m.from}>
        {(described) => (
          <input
            {...described}
            placeholder={m.anywhere}
            value={from}
            onChange={(event) => setFrom(event.target.value)}
          />
        )}
      </Field>
      <button type="submit" className="button">
        {m.explainGo}
      </button>
    </form>
  )
}

function Explained({ answer: { verdict, partly, why, by } }: { readonly answer: FirewallAnswer }) {
  const { words, say } = useWords()
  const { machine: m } = words
  const isWhole = partly === undefined
  const icon = verdict === 'allowed' ? 'check' : verdict === 'blocked' && isWhole ? 'cross' : 'none'
  return (
    <p className="below">
      <span className="badge" data-state={isWhole ? verdict : 'unknown'}>
        <Icon name={icon} size={12} />
        {isWhole ? m.verdict[verdict] : m.partly}
      </span>{' '}
      {say(why)}{' '}
      {by !== '' && (
        <span className="quiet">
          {m.by} <code>{by}</code>
        </span>
      )}
    </p>
  )
}
