/** The frame of every page: navigation, whether the connection stands, settings, and the page itself. */
import { lazy, Suspense, useEffect, useRef } from 'react'
import { Icon, type IconName } from './parts/icon.tsx'
import { Settings } from './parts/settings.tsx'
import { Toasts } from './parts/toasts.tsx'
import { LoginPage } from './pages/login.tsx'
import { RulePage } from './pages/rule.tsx'
import { RulesPage } from './pages/rules.tsx'
import { naru } from './state/naru.ts'
import { fields, linkTo, place } from './state/place.ts'
import { useWatched } from './state/watched.ts'
import type { Words } from './words/en.ts'
import { useWords } from './words/index.ts'

const RuleFormPage = lazy(() => import('./form/page.tsx'))
const TrafficPage = lazy(() => import('./pages/traffic.tsx'))
const LogPage = lazy(() => import('./pages/log.tsx'))
const ExchangePage = lazy(() => import('./pages/exchange.tsx'))
const DoctorPage = lazy(() => import('./pages/doctor.tsx'))
const MachinePage = lazy(() => import('./pages/machine.tsx'))

type Section = keyof Omit<Words['nav'], 'label'>

const sections: readonly { readonly name: Section; readonly icon: IconName }[] = [
  { name: 'rules', icon: 'rules' },
  { name: 'traffic', icon: 'traffic' },
  { name: 'log', icon: 'log' },
  { name: 'doctor', icon: 'doctor' },
  { name: 'machine', icon: 'machine' },
]

export function App() {
  const { words } = useWords()
  const link = useWatched(naru.link)
  if (link.state === 'login') return <LoginPage wrong={link.wrong} />
  return (
    <>
      <a className="skip" href="#content" onClick={skipToContent}>
        {words.skip}
      </a>
      <Header />
      <Banner />
      <Content />
      <Toasts />
    </>
  )
}

/** `#content` would be taken for a page. */
function skipToContent(event: { preventDefault: () => void }): void {
  event.preventDefault()
  document.getElementById('content')?.focus()
}

function Header() {
  const { words } = useWords()
  const [section] = useWatched(place)
  const here = section === 'new' || section === 'exchange' ? 'rules' : section
  return (
    <header className="header">
      <a className="brand" href={linkTo(['rules'])}>
        <img src="/naru.svg" width="28" height="28" alt="" />
        <span>{words.brand}</span>
      </a>
      <nav className="nav" aria-label={words.nav.label}>
        {sections.map(({ name, icon }) => (
          <a key={name} href={linkTo([name])} aria-current={here === name ? 'page' : undefined}>
            <Icon name={icon} />
            <span>{words.nav[name]}</span>
          </a>
        ))}
      </nav>
      <LinkState />
      <Settings />
    </header>
  )
}

function LinkState() {
  const { words } = useWords()
  const { state } = useWatched(naru.link)
  const access = useWatched(naru.access)
  return (
    <div className="link-state" data-state={state}>
      {access === 'read' && (
        <span className="badge" data-state="read" title={words.link.readOnlyLong}>
          <Icon name="eye" size={12} />
          {words.link.readOnly}
        </span>
      )}
      <span className="link-word" title={words.link[state === 'login' ? 'starting' : state]}>
        <span className="link-dot" aria-hidden="true" />
        <span className="link-text">
          {words.link[state === 'live' || state === 'lost' ? state : 'starting']}
        </span>
      </span>
    </div>
  )
}

function Banner() {
  const { words, say } = useWords()
  const link = useWatched(naru.link)
  const problem = useWatched(naru.fileProblem)
  return (
    <div role="status" aria-live="polite">
      {link.state === 'lost' && (
        <div className="banner" data-kind="lost">
          <Icon name="warning" />
          <p>
            <b>{words.link.lost}</b> {words.link.lostLong}
          </p>
        </div>
      )}
      {problem && (
        <div className="banner" data-kind="file">
          <Icon name="warning" />
          <div>
            <b>{words.file.problem}</b>
            <pre>{say(problem.message)}</pre>
          </div>
        </div>
      )}
    </div>
  )
}

function Content() {
  const { words } = useWords()
  const where = useWatched(place)
  const main = useRef<HTMLElement>(null)
  const key = where.join('/')
  const first = useRef(true)
  // A new page begins at its top, for eyes and for screen readers.
  useEffect(() => {
    if (first.current) first.current = false
    else {
      window.scrollTo(0, 0)
      main.current?.focus({ preventScroll: true })
    }
  }, [key])
  return (
    <main id="content" className="content" tabIndex={-1} ref={main}>
      <Suspense fallback={<p className="quiet">{words.link.starting}</p>}>
        <Page where={where} />
      </Suspense>
    </main>
  )
}

/** The page itself is at `/`; what stands behind `#` is where in it. */
function NotFound({ path, back }: { readonly path: string; readonly back: string }) {
  const { words } = useWords()
  return (
    <div className="empty card">
      <h1>{words.notFound.title}</h1>
      <p>{words.notFound.text(path)}</p>
      <p className="below">
        <a className="button" href={back}>
          {words.notFound.back}
        </a>
      </p>
    </div>
  )
}

function Page({ where }: { readonly where: readonly string[] }) {
  const [section, name, verb] = where
  const query = useWatched(fields)
  if (location.pathname !== '/') return <NotFound path={location.pathname} back="/" />
  // What another page offers for a new rule is a form of its own.
  if (section === 'new') return <RuleFormPage key={query.toString()} name={null} />
  if (section === 'rules' && name !== undefined && verb === 'edit')
    return <RuleFormPage key={name} name={name} />
  if (section === 'rules' && name !== undefined) return <RulePage key={name} name={name} />
  if (section === 'traffic') return <TrafficPage />
  if (section === 'log') return <LogPage />
  if (section === 'exchange') return <ExchangePage />
  if (section === 'doctor') return <DoctorPage key={name ?? ''} about={name ?? null} />
  if (section === 'machine') return <MachinePage tab={name ?? 'ip'} />
  if (section === 'rules') return <RulesPage />
  return <NotFound path={`#/${where.join('/')}`} back={linkTo(['rules'])} />
}
