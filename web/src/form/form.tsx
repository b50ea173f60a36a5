/** The form itself: what is typed, what is wrong with it beside the field, the plan, and saving. */
import { useEffect, useRef, useState, type SubmitEvent } from 'react'
import { NaruError, toNaruError } from '../../../src/base/errors.ts'
import type { RuleInput } from '../../../src/model/naru-api.ts'
import { Icon } from '../parts/icon.tsx'
import { toastError } from '../parts/toasts.tsx'
import { naru } from '../state/naru.ts'
import { forgetDraft, keepDraft, keptAt } from '../state/drafts.ts'
import { goTo, linkTo, linkToList } from '../state/place.ts'
import { useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'
import { draftOf, isWritten, ruleOf, type Draft } from './draft.ts'
import { problemsOf, useJudgement, type Problems } from './judge.ts'
import { PlanView } from './plan.tsx'
import { rename, saveEdit, saveNew, sameRule, type Base } from './save.ts'
import { Limits, Publishing, Service, Where, Who, HowLong } from './sections.tsx'

export interface RuleFormProps {
  /** Null for a new rule. */
  readonly name: string | null
  readonly base: RuleInput
  readonly first: Draft
  /** As the form was before anybody wrote in it; `first` is what was written and not saved. */
  readonly pristine: Draft
  readonly revision: string | null
}

type Conflict = { readonly theirs: RuleInput | null }

// oxlint-disable-next-line max-lines-per-function -- a form: one section after the other
export function RuleForm({ name, base: firstBase, first, pristine, revision }: RuleFormProps) {
  const { words } = useWords()
  const [draft, setDraft] = useState(first)
  const [base, setBase] = useState<Base>({ rule: firstBase, revision })
  const [refused, setRefused] = useState<Problems>({})
  const [tried, setTried] = useState(false)
  const [saving, setSaving] = useState(false)
  const [now] = useState(() => Date.now())
  const [known, setKnown] = useState<Conflict | null>(null)
  const form = useRef<HTMLFormElement>(null)
  const conflict = useConflict(name, base.rule, saving) ?? known
  const rule = ruleOf(draft, base.rule, now)
  const enough = isEnough(draft)
  const afresh = useKeeping({ draft, base: base.rule, pristine, saving })
  const judgement = useJudgement(name ?? (draft.name.trim() || 'new'), enough || name !== null ? rule : null)
  const taken = useNameTaken(draft.name.trim() === name ? '' : draft.name.trim())
  const problems: Problems = {
    ...(judgement.state === 'wrong' && blamedRight(judgement.problems, draft)),
    ...(taken && { name: taken }),
    ...(tried && draft.name.trim() === '' && { name: { en: words.form.required, ko: words.form.required } }),
    ...refused,
  }

  const change = (fields: Partial<Draft>): void => {
    setRefused({})
    setDraft((before) => ({ ...before, ...fields }))
  }
  const rebase = (theirs: RuleInput | null, take: boolean): void => {
    if (take && theirs !== null && name !== null) setDraft(draftOf(name, theirs))
    setBase({ rule: theirs ?? {}, revision: null })
    setKnown(null)
  }
  const save = async (): Promise<void> => {
    setTried(true)
    if (draft.name.trim() === '' || taken) return focusWrong(form.current)
    if (conflict) return focusConflict(form.current)
    setSaving(true)
    try {
      const deleted = Object.keys(base.rule).length === 0
      const saved = await (name === null || deleted
        ? saveNew(draft.name.trim(), rule)
        : saveEdit(name, rule, base))
      if (saved.state === 'conflict') {
        setKnown({ theirs: saved.theirs })
        setSaving(false)
        return
      }
      if (name !== null && draft.name.trim() !== name) {
        // What is saved by now is what the form is about from here on, should the name not do.
        setBase({ rule, revision: null })
        await rename(name, draft.name.trim())
      }
      forgetDraft(location.hash)
      for (const failure of saved.result.failures) toastError(errorOf(failure))
      goTo('rules', draft.name.trim())
    } catch (error) {
      setRefused(problemsOf(toNaruError(error)))
      setSaving(false)
      setTimeout(() => focusWrong(form.current))
    }
  }
  const submit = (event: SubmitEvent<HTMLFormElement>): void => {
    event.preventDefault()
    if (!saving) void save()
  }
  const props = { draft, problems, change }
  return (
    <form className="form" ref={form} onSubmit={submit} noValidate autoComplete="off">
      <div className="form-main">
        {afresh && (
          <KeptNote
            onAfresh={() => {
              afresh()
              setDraft(pristine)
            }}
          />
        )}
        {conflict && <ConflictNote conflict={conflict} onChoose={rebase} />}
        <Service {...props} isNew={name === null} />
        <Where {...props} />
        <Publishing {...props} />
        <Who {...props} />
        <HowLong {...props} />
        <Limits {...props} />
      </div>
      <div className="form-side">
        <PlanView judgement={judgement} />
        <div className="row form-buttons">
          <button type="submit" className="button primary" aria-disabled={saving}>
            <Icon name="check" />{' '}
            {saving ? words.form.saving : name === null ? words.form.open : words.form.save}
          </button>
          <a
            className="button"
            href={name === null ? linkToList() : linkTo(['rules', name])}
            onClick={() => forgetDraft(location.hash)}
          >
            {words.form.cancel}
          </a>
        </div>
        {problems.whole && judgement.state !== 'wrong' && <Whole text={problems.whole} />}
      </div>
    </form>
  )
}

/** With the same port on both sides and no target a rule would lead to itself: somebody is still writing. */
function isEnough({ externalPort, target, internalPort, targets }: Draft): boolean {
  const [outside, inside] = [externalPort.trim(), internalPort.trim()]
  if (outside === '') return false
  return target.trim() !== '' || (inside !== '' && inside !== outside) || targets.some(isWritten)
}

/** A target without a port of its own takes the external one: what is wrong with that is said there alone. */
function blamedRight(problems: Problems, draft: Draft): Problems {
  if (problems.externalPort === undefined || draft.internalPort.trim() !== '') return problems
  const { target: _target, ...others } = problems
  return others
}

interface Keeping {
  readonly draft: Draft
  readonly base: RuleInput
  readonly pristine: Draft
  readonly saving: boolean
}

/** Keeps what is written, as it is written. @returns how to forget it, where the form was opened with it. */
function useKeeping({ draft, base, pristine, saving }: Keeping): (() => void) | null {
  const [hash] = useState(() => location.hash)
  const [restored, setRestored] = useState(() => keptAt(hash) !== null)
  const isPristine = JSON.stringify(draft) === JSON.stringify(pristine)
  useEffect(() => {
    if (saving) return
    if (isPristine) forgetDraft(hash)
    else keepDraft({ hash, draft, base })
  }, [hash, draft, base, isPristine, saving])
  if (!restored) return null
  return () => {
    forgetDraft(hash)
    setRestored(false)
  }
}

function KeptNote({ onAfresh }: { readonly onAfresh: () => void }) {
  const { words } = useWords()
  return (
    <div className="kept">
      <p>{words.form.kept}</p>
      <button type="button" className="button small" onClick={onAfresh}>
        {words.form.afresh}
      </button>
    </div>
  )
}

function Whole({ text }: { readonly text: NonNullable<Problems['whole']> }) {
  const { say } = useWords()
  return (
    <p className="problem" role="alert">
      <Icon name="warning" size={14} /> {say(text)}
    </p>
  )
}

function ConflictNote({
  conflict: { theirs },
  onChoose,
}: {
  readonly conflict: Conflict
  readonly onChoose: (theirs: RuleInput | null, take: boolean) => void
}) {
  const { words } = useWords()
  return (
    <div className="conflict" role="alert" tabIndex={-1}>
      <Icon name="warning" />
      <div>
        <p>
          <b>{theirs === null ? words.form.removedElsewhere : words.form.changedElsewhere}</b>{' '}
          {theirs !== null && words.form.changedElsewhereText}
        </p>
        <div className="row">
          {theirs !== null && (
            <button type="button" className="button small" onClick={() => onChoose(theirs, true)}>
              {words.form.takeTheirs}
            </button>
          )}
          <button type="button" className="button small" onClick={() => onChoose(theirs, false)}>
            {words.form.keepMine}
          </button>
        </div>
      </div>
    </div>
  )
}

/** Told as soon as the other change happens, not only when saving. */
function useConflict(name: string | null, base: RuleInput, saving: boolean): Conflict | null {
  const rules = useWatched(naru.rules)
  // Our own saving comes back as an event, too.
  if (name === null || rules === null || saving) return null
  const theirs = rules.find((one) => one.name === name)?.rule ?? null
  if (theirs === null) return Object.keys(base).length === 0 ? null : { theirs: null }
  return sameRule(theirs, base) ? null : { theirs }
}

function useNameTaken(name: string): NaruError['text'] | null {
  const rules = useWatched(naru.rules)
  if (name === '' || !rules?.some((one) => one.name === name)) return null
  return new NaruError('RULE_EXISTS', { name }).text
}

function errorOf(failure: { code: string; details: object }): NaruError {
  return new NaruError(failure.code as never, failure.details)
}

function focusWrong(form: HTMLFormElement | null): void {
  form?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
}

function focusConflict(form: HTMLFormElement | null): void {
  form?.querySelector<HTMLElement>('.conflict')?.focus()
}
