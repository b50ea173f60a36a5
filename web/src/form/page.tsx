/** Adding or changing a rule: the form on one side, what will be done on the other, before it is done. */
import { useEffect, useState } from 'react'
import type { RuleInput } from '../../../src/model/naru-api.ts'
import { Icon } from '../parts/icon.tsx'
import { keptAt } from '../state/drafts.ts'
import { client, naru } from '../state/naru.ts'
import { fields as asked, linkTo } from '../state/place.ts'
import { useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'
import { draftOf, emptyDraft, type Draft } from './draft.ts'
import { RuleForm } from './form.tsx'

export default function RuleFormPage({ name }: { readonly name: string | null }) {
  return name === null ? <NewRule /> : <EditRule name={name} />
}

function NewRule() {
  const { words } = useWords()
  const access = useWatched(naru.access)
  const [offered] = useState(proposed)
  const [kept] = useState(() => keptAt(location.hash))
  return (
    <>
      <BackTo words={[]} text={words.rule.back} />
      <h1 className="form-title">{words.form.add}</h1>
      {access === 'read' ? (
        <p className="quiet">{words.link.readOnlyLong}</p>
      ) : (
        <RuleForm
          name={null}
          base={{}}
          first={kept ? { ...emptyDraft, ...kept.draft } : offered}
          pristine={offered}
          revision={null}
        />
      )}
    </>
  )
}

/** What another page offers: `#/new?target=docker:web&internalPort=80`. */
function proposed(): Draft {
  const fields = Object.fromEntries(
    [...asked.value].filter(([key]) =>
      ['name', 'target', 'internalPort', 'externalPort', 'protocol'].includes(key),
    ),
  )
  return { ...emptyDraft, ...(fields as Partial<Draft>) }
}

interface Opened {
  readonly rule: RuleInput
  readonly revision: string
}

function EditRule({ name }: { readonly name: string }) {
  const { words } = useWords()
  const access = useWatched(naru.access)
  const link = useWatched(naru.link)
  const [kept] = useState(() => keptAt(location.hash))
  const [opened, setOpened] = useState<Opened | 'none' | null>(null)
  useEffect(() => {
    if (opened !== null || link.state !== 'live') return
    let current = true
    void open(name).then((found) => current && setOpened(found))
    return () => {
      current = false
    }
  }, [name, opened, link.state])
  return (
    <>
      <BackTo words={[name]} text={name} />
      <h1 className="form-title">{words.form.edit(name)}</h1>
      {access === 'read' && <p className="quiet">{words.link.readOnlyLong}</p>}
      {opened === null && <p className="quiet">{words.link.starting}</p>}
      {opened === 'none' && <p className="quiet">{words.rule.notThere(name)}</p>}
      {opened !== null && opened !== 'none' && access === 'full' && (
        <RuleForm
          name={name}
          base={kept?.base ?? opened.rule}
          first={kept ? { ...emptyDraft, ...kept.draft } : draftOf(name, opened.rule)}
          pristine={draftOf(name, opened.rule)}
          revision={kept ? null : opened.revision}
        />
      )}
    </>
  )
}

/** The revision is asked for first: a change in between is then noticed when saving. */
async function open(name: string): Promise<Opened | 'none'> {
  try {
    const { revision } = await client.about()
    return { rule: (await client.rules.get(name)).rule, revision }
  } catch {
    return 'none'
  }
}

function BackTo({ words, text }: { readonly words: readonly string[]; readonly text: string }) {
  return (
    <a className="back" href={linkTo(['rules', ...words])}>
      <Icon name="back" size={14} /> {text}
    </a>
  )
}
