/** The parts of the form, in the order in which one thinks of a rule. */
import { ruleKeys } from '../../../src/model/rule-keys/index.ts'
import { Choice } from '../parts/choice.tsx'
import { Icon } from '../parts/icon.tsx'
import { useWords } from '../words/index.ts'
import { asTarget, emptyTarget, isGuest } from './draft.ts'
import { Check, Field } from './fields.tsx'
import { KeyFields } from './key-fields.tsx'
import { fieldsAt } from './keys.ts'
import { TargetPicker, type Picked } from './picker.tsx'
import { presetOf, presets, withPreset } from './presets.ts'
import { useProblem, type SectionProps } from './section.ts'
import { Targets } from './targets.tsx'

/** For people: they change nothing of what the rule does. */
const described = ['title', 'tags'] as const

// oxlint-disable-next-line max-lines-per-function -- a form: one field after the other
export function Service({ draft, problems, change, isNew }: SectionProps & { readonly isNew: boolean }) {
  const { words } = useWords()
  const problem = useProblem(problems)
  const hints = { title: words.form.titleHint, tags: words.form.tagsHint }
  return (
    <section className="card">
      <h2>{words.form.what}</h2>
      <div className="grid">
        <Field
          label={words.form.name}
          hint={isNew ? words.form.nameHint : words.form.renameHint}
          problem={problem('name')}
        >
          {(described) => (
            <input
              {...described}
              value={draft.name}
              required
              maxLength={40}
              onChange={(event) => change({ name: event.target.value })}
            />
          )}
        </Field>
        <Field label={words.form.preset} hint={words.form.presetHint}>
          {(described) => (
            <select
              {...described}
              value={presetOf(draft)?.name ?? ''}
              onChange={(event) => {
                const preset = presets.find(({ name }) => name === event.target.value)
                if (!preset) return
                const { name, ...filled } = withPreset(draft, preset)
                change(isNew ? { ...filled, name } : filled)
              }}
            >
              <option value="">{words.form.presetNone}</option>
              {presets.map(({ name, title, port }) => (
                <option key={name} value={name}>
                  {title} · {port}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field
          label={words.form.externalPort}
          hint={words.form.externalPortHint}
          problem={problem('externalPort')}
        >
          {(described) => (
            <input
              {...described}
              value={draft.externalPort}
              placeholder="8888"
              required
              onChange={(event) => change({ externalPort: event.target.value })}
            />
          )}
        </Field>
        <Choice
          label={words.form.protocol}
          value={draft.protocol}
          options={[
            { value: 'tcp', text: 'TCP' },
            { value: 'udp', text: 'UDP' },
            { value: 'tcp+udp', text: words.form.both },
          ]}
          onChoose={(protocol) => change({ protocol })}
        />
        {described.map((field) => (
          <Field key={field} label={words.form[field]} hint={hints[field]} problem={problem(field)}>
            {(props) => (
              <input
                {...props}
                value={draft[field]}
                onChange={(event) => change({ [field]: event.target.value })}
              />
            )}
          </Field>
        ))}
        <Field label={words.form.description} problem={problem('description')}>
          {(props) => (
            <textarea
              {...props}
              rows={2}
              value={draft.description}
              onChange={(event) => change({ description: event.target.value })}
            />
          )}
        </Field>
      </div>
    </section>
  )
}

export function Where({ draft, problems, change }: SectionProps) {
  const { words } = useWords()
  const problem = useProblem(problems)
  const pick = ({ name, ...picked }: Picked): void =>
    change({
      ...picked,
      ...(name !== undefined && draft.name === '' && { name }),
      ...(draft.externalPort === '' && picked.internalPort && { externalPort: outside(picked.internalPort) }),
    })
  return (
    <section className="card">
      <h2>{words.form.where}</h2>
      {draft.targets.length > 0 ? (
        <Targets draft={draft} problems={problems} change={change} />
      ) : (
        <>
          <div className="grid">
            <Field label={words.form.target} hint={words.form.targetHint} problem={problem('target')}>
              {(described) => (
                <input
                  {...described}
                  value={draft.target}
                  placeholder="192.168.79.128"
                  onChange={(event) => change({ target: event.target.value })}
                />
              )}
            </Field>
            <Field
              label={words.form.internalPort}
              hint={words.form.internalPortHint}
              problem={problem('internalPort')}
            >
              {(described) => (
                <input
                  {...described}
                  value={draft.internalPort}
                  placeholder={draft.externalPort || '80'}
                  onChange={(event) => change({ internalPort: event.target.value })}
                />
              )}
            </Field>
          </div>
          <div className="row pick">
            <TargetPicker onPick={pick} />
            <button
              type="button"
              className="button small"
              onClick={() => change({ targets: [asTarget(draft), emptyTarget] })}
            >
              <Icon name="plus" size={14} /> {words.form.addTarget}
            </button>
          </div>
        </>
      )}
    </section>
  )
}

/** A well-known port, or one that is taken here, is offered a high one outside. */
function outside(port: string): string {
  const next = Number(port) + 8000
  return next > 65_535 ? String(Number(port) - 8000) : String(next)
}

export function Publishing({ draft, problems, change }: SectionProps) {
  const { words } = useWords()
  const problem = useProblem(problems)
  return (
    <section className="card">
      <h2>{words.form.publish}</h2>
      <div className="stack">
        <Check
          label={words.form.firewall}
          hint={words.form.firewallHint}
          checked={draft.firewall}
          problem={problem('firewall')}
          onChange={(firewall) => change({ firewall })}
        />
        <Check
          label={words.form.router}
          hint={words.form.routerHint}
          checked={draft.router}
          problem={problem('router')}
          onChange={(router) => change(router ? { router, firewall: true } : { router })}
        />
        {draft.router && (
          <div className="grid indented">
            <Field
              label={words.form.routerPort}
              hint={words.form.routerPortHint}
              problem={problem('routerPort')}
            >
              {(described) => (
                <input
                  {...described}
                  value={draft.routerPort}
                  placeholder={draft.externalPort}
                  onChange={(event) => change({ routerPort: event.target.value })}
                />
              )}
            </Field>
          </div>
        )}
        {(isGuest(draft.target) || draft.guestNat) && (
          <Check
            label={words.form.guestNat}
            hint={words.form.guestNatHint}
            checked={draft.guestNat}
            problem={problem('guestNat')}
            onChange={(guestNat) => change({ guestNat })}
          />
        )}
      </div>
    </section>
  )
}

export function Who({ draft, problems, change }: SectionProps) {
  const { words } = useWords()
  const problem = useProblem(problems)
  const known = ['', '127.0.0.1']
  const addresses = known.includes(draft.listenAddress) ? known : [...known, draft.listenAddress]
  const name = (address: string): string =>
    address === '' ? words.form.everyAddress : address === '127.0.0.1' ? words.form.loopbackOnly : address
  return (
    <section className="card">
      <h2>{words.form.who}</h2>
      <div className="grid">
        <Field label={words.form.source} hint={words.form.sourceHint} problem={problem('allow')}>
          {(described) => (
            <textarea
              {...described}
              rows={3}
              value={draft.allow}
              onChange={(event) => change({ allow: event.target.value })}
            />
          )}
        </Field>
        <Field label={words.form.deny} hint={words.form.denyHint} problem={problem('deny')}>
          {(described) => (
            <textarea
              {...described}
              rows={3}
              value={draft.deny}
              onChange={(event) => change({ deny: event.target.value })}
            />
          )}
        </Field>
        <Field label={words.form.listenOn}>
          {(described) => (
            <select
              {...described}
              value={draft.listenAddress}
              onChange={(event) => change({ listenAddress: event.target.value })}
            >
              {addresses.map((address) => (
                <option key={address} value={address}>
                  {name(address)}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
    </section>
  )
}

export function HowLong({ draft, problems, change }: SectionProps) {
  const { words } = useWords()
  const problem = useProblem(problems)
  return (
    <section className="card">
      <h2>{words.form.howLong}</h2>
      <div className="stack">
        <Choice
          label={words.form.until}
          hideLabel
          value={draft.closing}
          options={[
            { value: 'never', text: words.form.forever },
            { value: 'hours', text: words.form.twoHours },
            { value: 'day', text: words.form.oneDay },
            { value: 'time', text: words.form.atTime },
          ]}
          onChoose={(closing) => change({ closing })}
        />
        {draft.closing === 'time' && (
          <div className="grid">
            <Field label={words.form.untilTime} problem={problem('closing')}>
              {(described) => (
                <input
                  {...described}
                  type="datetime-local"
                  value={draft.closingTime}
                  onChange={(event) => change({ closingTime: event.target.value })}
                />
              )}
            </Field>
          </div>
        )}
      </div>
    </section>
  )
}

// oxlint-disable-next-line max-lines-per-function -- a form: one field after the other
export function Limits({ draft, problems, change }: SectionProps) {
  const { words, say } = useWords()
  const problem = useProblem(problems)
  const isWrong = (...places: readonly Parameters<typeof fieldsAt>[0][]): boolean =>
    places.flatMap(fieldsAt).some(({ field }) => problems[field] !== undefined)
  const props = { draft, problems, change }
  const { label, hint } = ruleKeys.health.form
  return (
    <>
      <details className="card" open={isWrong('limits') || undefined}>
        <summary>
          <h2>{words.form.more}</h2>
        </summary>
        <div className="grid">
          <KeyFields {...props} place="limits" />
        </div>
      </details>
      <details
        className="card"
        open={isWrong('waiting', 'health') || problems.health !== undefined || undefined}
      >
        <summary>
          <h2>{words.form.waiting}</h2>
        </summary>
        <div className="grid">
          <KeyFields {...props} place="waiting" />
        </div>
        <div className="stack below">
          <Check
            label={say(label)}
            hint={say(hint)}
            checked={draft.health}
            problem={problem('health')}
            onChange={(health) => change({ health })}
          />
          {draft.health && (
            <div className="grid indented">
              <KeyFields {...props} place="health" />
            </div>
          )}
        </div>
      </details>
    </>
  )
}
