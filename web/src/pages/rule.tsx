/** One rule: its path as a picture, each hop in words, and how its connections ended. */
import { closeReasons, type CloseReason } from '../../../src/model/connection.ts'
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import { StateBadge } from '../parts/badge.tsx'
import { isLoopbackOnly } from '../parts/columns.ts'
import { Give } from '../parts/give.tsx'
import { pathOf, stateIcons, type PathHop } from '../parts/hops.ts'
import { Icon } from '../parts/icon.tsx'
import { PathPicture } from '../parts/picture.tsx'
import { Said } from '../parts/said.tsx'
import { Again } from '../parts/again.tsx'
import { ByHand } from '../rule/by-hand.tsx'
import { Live, OnSwitch } from '../rules/live.tsx'
import { tagsOf, titleOf } from '../rules/arrange.ts'
import { deleteRule } from '../state/changes.ts'
import { gathered } from '../state/log-lines.ts'
import { naru } from '../state/naru.ts'
import { useNow } from '../state/now.ts'
import { goToList, linkTo, linkToList } from '../state/place.ts'
import { useWatched } from '../state/watched.ts'
import { bytesText, durationText } from '../words/figures.ts'
import { useWords } from '../words/index.ts'

export function RulePage({ name }: { readonly name: string }) {
  const { words } = useWords()
  const rules = useWatched(naru.rules)
  const rule = rules?.find((one) => one.name === name)
  return (
    <>
      <a className="back" href={linkToList()}>
        <Icon name="back" size={14} /> {words.rule.back}
      </a>
      {rule && <OneRule rule={rule} />}
      {!rule && <p className="quiet">{rules === null ? words.link.starting : words.rule.notThere(name)}</p>}
    </>
  )
}

function OneRule({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  return (
    <>
      <div className="page-head">
        <div className="title-row">
          <OnSwitch rule={rule} />
          <h1>{titleOf(rule)}</h1>
          <StateBadge rule={rule} />
        </div>
        <Buttons rule={rule} />
      </div>
      <About rule={rule} />
      <Addresses rule={rule} />
      {rule.byHand && <ByHand rule={rule} steps={rule.byHand} />}
      <section className="card" aria-label={words.rule.path}>
        <PathPicture rule={rule} />
        <Live rule={rule} />
      </section>
      <section className="card">
        <h2>{words.rule.hops}</h2>
        <ol className="hops">
          {pathOf(rule)
            .filter(({ state }) => state !== 'none')
            .map((hop) => (
              <HopInWords key={hop.hop} hop={hop} />
            ))}
        </ol>
      </section>
      <Closes rule={rule} />
      <Happened name={rule.name} />
    </>
  )
}

/** What people wrote of it: its name in the file where it has a title, a description, tags. */
function About({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const { name, rule: written } = rule
  const description = typeof written['description'] === 'string' ? written['description'] : ''
  const tags = tagsOf(rule)
  if (titleOf(rule) === name && description === '' && tags.length === 0) return null
  return (
    <div className="about">
      {description !== '' && <p className="prose description">{description}</p>}
      <p className="name quiet small-text">
        {titleOf(rule) !== name && <span>{words.rule.named(name)}</span>}
        {tags.map((tag) => (
          <a key={tag} className="tag" href={linkTo(['rules'], { tag })}>
            {tag}
          </a>
        ))}
      </p>
    </div>
  )
}

function Addresses({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const { addresses } = rule
  if (addresses.length === 0) return null
  const isNear = addresses.every(({ scope }) => scope === 'machine')
  return (
    <section className="card">
      <h2>{words.give.title}</h2>
      <div className="gives">
        {addresses.toReversed().map((address) => (
          <Give key={address.text} address={address} />
        ))}
      </div>
      {isNear && (
        <p className="quiet small-text below">
          {isLoopbackOnly(rule) ? words.give.loopback : words.give.notOpened}
        </p>
      )}
    </section>
  )
}

function Buttons({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const access = useWatched(naru.access)
  return (
    <div className="row">
      <a className="button" href={linkTo(['doctor', rule.name])}>
        <Icon name="doctor" /> {words.rule.ask}
      </a>
      {access === 'full' && (
        <>
          <a className="button" href={linkTo(['rules', rule.name, 'edit'])}>
            <Icon name="edit" /> {words.rules.edit}
          </a>
          <button type="button" className="button" onClick={() => void deleteRule(rule).then(goToList)}>
            <Icon name="trash" /> {words.rules.delete}
          </button>
        </>
      )}
    </div>
  )
}

function HopInWords({ hop: { hop, state, status } }: { readonly hop: PathHop }) {
  const { words } = useWords()
  const now = useNow()
  return (
    <li data-state={state} data-hop={hop}>
      <span className="stop-mark">
        <Icon name={stateIcons[state]} size={14} />
      </span>
      <div>
        <p>
          <b>{words.hop[hop]}</b>
          {status && status.member !== null && status.member !== hop && (
            <>
              {' '}
              <span className="engine">{status.member}</span>
            </>
          )}{' '}
          <span className="quiet">{words.hopState[state]}</span>
        </p>
        {status && (
          <p>
            <Said text={status.text} />
          </p>
        )}
        {status === null && state === 'ok' && <p>{words.rule.answers}</p>}
        {state === 'untried' && <p>{words.rule.untried}</p>}
        {state === 'idle' && <p>{words.rule.idleService}</p>}
        {status?.notes.map((note) => (
          <p key={note.en} className="note">
            <Said text={note} />
          </p>
        ))}
        {status?.checkedAt && (
          <p className="quiet small-text figure">
            {words.rule.checked(durationText(now - status.checkedAt, words))}
          </p>
        )}
      </div>
    </li>
  )
}

/** How connections ended, the commonest reason first. */
function Closes({ rule: { counters } }: { readonly rule: RuleStatus }) {
  const { words, say } = useWords()
  const reasons = (Object.entries(counters.closed) as [CloseReason, number][])
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
  if (counters.opened === 0 && reasons.length === 0) return null
  return (
    <section className="card">
      <h2>{words.rule.connections}</h2>
      <dl className="facts figure">
        <div>
          <dt>{words.traffic.toTarget}</dt>
          <dd>{bytesText(counters.bytesToTarget)}</dd>
        </div>
        <div>
          <dt>{words.traffic.toClient}</dt>
          <dd>{bytesText(counters.bytesToClient)}</dd>
        </div>
        <div>
          <dt>{words.traffic.open}</dt>
          <dd>{counters.open}</dd>
        </div>
        {counters.offloaded > 0 && (
          <div>
            <dt>{words.traffic.offloaded}</dt>
            <dd>{counters.offloaded}</dd>
          </div>
        )}
      </dl>
      {reasons.length > 0 && (
        <>
          <h3>{words.rule.closes}</h3>
          <ul className="closes">
            {reasons.map(([reason, count]) => (
              <li key={reason}>
                <span className="figure">{count}×</span> {say(closeReasons[reason])}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  )
}

const mostHappened = 8

/** What Naru said of it lately, the newest first; the log has the rest. */
function Happened({ name }: { readonly name: string }) {
  const { words, say } = useWords()
  const all = useWatched(naru.happenings.all)
  const lines = gathered(all.filter((one) => one.type === 'log' && one.rule === name)).slice(0, mostHappened)
  if (lines.length === 0) return null
  return (
    <section className="card">
      <h2>{words.rule.happened}</h2>
      <ol className="closes">
        {lines.map(({ key, at, text, times, lastAt }) => (
          <li key={key}>
            <time className="quiet figure">{new Date(at).toLocaleTimeString()}</time> {say(text)}
            <Again times={times} lastAt={lastAt} />
          </li>
        ))}
      </ol>
      <p className="below">
        <a href={linkTo(['log'], { find: name })}>{words.log.title}</a>
      </p>
    </section>
  )
}
