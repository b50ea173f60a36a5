/** Without a token: how to get in. */
import { useState } from 'react'
import { toNaruError } from '../../../src/base/errors.ts'
import { Icon } from '../parts/icon.tsx'
import { Settings } from '../parts/settings.tsx'
import { naru } from '../state/naru.ts'
import { useWords } from '../words/index.ts'

export function LoginPage({ wrong }: { readonly wrong: boolean }) {
  const { words, say } = useWords()
  const [token, setToken] = useState('')
  const [problem, setProblem] = useState<string | null>(null)
  const shown = problem ?? (wrong ? words.login.wrong : null)
  const logIn = async (): Promise<void> => {
    setProblem(null)
    // A whole link is taken for its token.
    const typed = /[?&]token=([\w-]+)/.exec(token)?.[1] ?? token.trim()
    await naru.logIn(typed).catch((error: unknown) => setProblem(say(toNaruError(error).text)))
  }
  return (
    <main className="login" id="content">
      <form
        className="card"
        onSubmit={(event) => {
          event.preventDefault()
          void logIn()
        }}
      >
        <h1>
          <img src="/naru.svg" width="36" height="36" alt="" /> {words.brand}
        </h1>
        <p>{words.login.text}</p>
        <label className="field">
          <span className="label">{words.login.token}</span>
          <input
            type="password"
            autoComplete="current-password"
            value={token}
            onChange={(event) => setToken(event.target.value)}
            aria-invalid={shown !== null}
            aria-describedby={shown === null ? undefined : 'login-problem'}
          />
        </label>
        {shown !== null && (
          <p className="problem" id="login-problem" role="alert">
            <Icon name="warning" size={14} /> {shown}
          </p>
        )}
        <div className="row">
          <button type="submit" className="button primary" disabled={token.trim() === ''}>
            {words.login.go}
          </button>
          <Settings />
        </div>
      </form>
    </main>
  )
}
