/** Language, appearance and log-out, behind one button. */
import { useEffect, useRef, useState } from 'react'
import { chooseLanguage, chooseTheme, theme, wantedLanguage, type Theme } from '../state/look.ts'
import { naru } from '../state/naru.ts'
import { useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'
import { Choice } from './choice.tsx'
import { Icon } from './icon.tsx'

export function Settings() {
  const { words } = useWords()
  const [open, setOpen] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    if (!open) return
    const outside = (event: PointerEvent): void => {
      if (!box.current?.contains(event.target as Node)) setOpen(false)
    }
    document.addEventListener('pointerdown', outside)
    return () => document.removeEventListener('pointerdown', outside)
  }, [open])
  return (
    <div
      className="settings"
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || !open) return
        setOpen(false)
        button.current?.focus()
      }}
    >
      <button
        type="button"
        className="button icon-only"
        aria-label={words.menu.label}
        aria-expanded={open}
        ref={button}
        onClick={() => setOpen(!open)}
      >
        <Icon name="gear" />
      </button>
      {open && <Panel />}
    </div>
  )
}

function Panel() {
  const { words } = useWords()
  const about = useWatched(naru.about)
  const themes: readonly Theme[] = ['auto', 'light', 'dark']
  return (
    <div className="panel" role="group" aria-label={words.menu.label}>
      <Choice
        label={words.menu.language}
        value={useWatched(wantedLanguage)}
        options={[
          { value: 'en', text: 'English', lang: 'en' },
          { value: 'ko', text: '한국어', lang: 'ko' },
        ]}
        onChoose={chooseLanguage}
      />
      <Choice
        label={words.menu.theme}
        value={useWatched(theme)}
        options={themes.map((value) => ({ value, text: words.menu[value] }))}
        onChoose={chooseTheme}
      />
      {about && (
        <>
          <button type="button" className="button" onClick={() => naru.logOut()}>
            <Icon name="out" /> {words.menu.logOut}
          </button>
          <p className="quiet small-text">{words.menu.about(about.version, about.file)}</p>
        </>
      )}
    </div>
  )
}
