/** What the doctor found: the verdict first, then each cause with its evidence and what to do about it. */
import { useState } from 'react'
import { alike, consequencesIn, type Diagnosis } from '../../../src/model/diagnosis.ts'
import type { Finding, Fix } from '../../../src/model/finding.ts'
import { Copy } from '../parts/copy.tsx'
import { Icon, type IconName } from '../parts/icon.tsx'
import { linkTo } from '../state/place.ts'
import { Said } from '../parts/said.tsx'
import { useWords } from '../words/index.ts'

export function Verdict({ diagnosis }: { readonly diagnosis: Diagnosis }) {
  const { words } = useWords()
  const { verdict, summary, causes, folded, remarks } = diagnosis
  const follow = consequencesIn(folded)
  const severity = verdict?.severity ?? 'none'
  return (
    <>
      <section className="card verdict" data-severity={severity}>
        <h2>{words.doctor.verdict}</h2>
        <p className="verdict-text">
          <Icon name={verdict === null ? 'check' : 'warning'} size={24} />
          <span>
            <Said text={summary} />
          </span>
        </p>
      </section>
      {causes.length > 0 && (
        <section className="card">
          <h2>{words.doctor.causes}</h2>
          <Findings groups={alike(causes)} follow={follow} />
        </section>
      )}
      {remarks.length > 0 && (
        <section className="card">
          <h2>{words.doctor.remarks}</h2>
          <Findings groups={alike(remarks)} follow={() => []} />
        </section>
      )}
    </>
  )
}

type Alike = readonly [Finding, ...Finding[]]

interface FindingsProps {
  readonly groups: readonly Alike[]
  readonly follow: (cause: Finding) => readonly Finding[]
}

/** So many faults are read one by one; the rest is there when asked for, as many again. */
const mostAtOnce = 10

function Findings({ groups, follow }: FindingsProps) {
  const { words } = useWords()
  const [shown, setShown] = useState(mostAtOnce)
  return (
    <>
      {groups.slice(0, shown).map((group) => (
        <OneFinding key={keyOf(group[0])} group={group} folded={group.flatMap(follow)} />
      ))}
      {groups.length > shown && (
        <button type="button" className="button below" onClick={() => setShown(shown + mostAtOnce)}>
          {words.rules.more(groups.length - shown)}
        </button>
      )}
    </>
  )
}

const icons: Readonly<Record<Finding['severity'], IconName>> = {
  blocks: 'cross',
  warns: 'warning',
  informs: 'eye',
}

/** Of many rules with the same fault so many are named, and of what follows from it so much is told. */
const mostNamed = 20
const mostFolded = 5

/** One finding, or the same at several rules: of those the first tells evidence and fix. */
function OneFinding({ group, folded }: { readonly group: Alike; readonly folded: readonly Finding[] }) {
  const { words, say } = useWords()
  const [{ severity, hop, title, evidence, fixes, code }] = group
  const rules = group.flatMap(({ rule }) => rule ?? [])
  return (
    <article className="finding">
      <h3>
        <span className="badge" data-state={severity}>
          <Icon name={icons[severity]} size={12} />
          {words.doctor.severity[severity]}
        </span>{' '}
        {say(title)}
      </h3>
      <p className="quiet small-text">
        {words.hop[hop]}
        {rules.length > 1 && ` · ${words.doctor.rules(rules.length)}`}
        {rules.slice(0, mostNamed).map((rule) => (
          <span key={rule}>
            {' · '}
            <a href={linkTo(['rules', rule])}>{rule}</a>
          </span>
        ))}
        {rules.length > mostNamed && ' · …'} · <code>{code}</code>
      </p>
      {evidence.length > 0 && (
        <ul className="evidence" aria-label={words.doctor.evidence}>
          {evidence.map((one) => (
            <li key={one.en}>
              <Said text={one} />
            </li>
          ))}
        </ul>
      )}
      {fixes.map((fix) => (
        <FixView key={fix.text.en} fix={fix} />
      ))}
      {alike(folded)
        .slice(0, mostFolded)
        .map(([one, ...others]) => (
          <p key={keyOf(one)} className="quiet small-text">
            {words.doctor.consequence}: {say(one.title)}
            {others.length > 0 && ` (${words.doctor.rules(others.length + 1)})`}
          </p>
        ))}
    </article>
  )
}

function FixView({ fix: { text, command } }: { readonly fix: Fix }) {
  const { words } = useWords()
  return (
    <div className="fix">
      <p>
        <b>{words.doctor.fix}:</b> <Said text={text} />
      </p>
      {command !== undefined && (
        <div className="command">
          <code>{command}</code>
          <Copy text={command} />
        </div>
      )}
    </div>
  )
}

function keyOf({ code, rule }: Finding): string {
  return `${code} ${rule ?? ''}`
}
