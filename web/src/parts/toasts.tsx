/** What was done, with the way back; and what could not be done. Said aloud by screen readers, dismissed by hand or in time. */
import { useEffect, useRef } from 'react'
import { toNaruError } from '../../../src/base/errors.ts'
import type { Text } from '../../../src/base/text.ts'
import { useWatched, Watched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'
import { Icon } from './icon.tsx'

interface Toast {
  readonly id: number
  readonly kind: 'done' | 'failed'
  readonly text: Text
  readonly undo?: () => void
}

/** Long enough to read twice; time stands still while one points at it or has the focus in it. */
const shownMs = 20_000
const most = 3

const toasts = new Watched<readonly Toast[]>([])
let lastId = 0

export function toast(text: Text, undo?: () => void): void {
  push({ kind: 'done', text, ...(undo && { undo }) })
}

export function toastError(thrown: unknown): void {
  const { text, fix } = toNaruError(thrown)
  const joined = (key: keyof Text): string => (fix ? `${text[key]}. ${fix[key]}` : text[key])
  push({ kind: 'failed', text: { en: joined('en'), ko: joined('ko') } })
}

function push(fields: Omit<Toast, 'id'>): void {
  toasts.set([...toasts.value, { ...fields, id: ++lastId }].slice(-most))
}

function dismiss(id: number): void {
  toasts.set(toasts.value.filter((one) => one.id !== id))
}

export function Toasts() {
  const all = useWatched(toasts)
  return (
    <div className="toasts" role="status" aria-live="polite">
      {all.map((one) => (
        <Shown key={one.id} toast={one} />
      ))}
    </div>
  )
}

function Shown({ toast: { id, kind, text, undo } }: { readonly toast: Toast }) {
  const { words, say } = useWords()
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    let left = shownMs
    const timer = setInterval(() => {
      const held = box.current?.matches(':hover, :focus-within') ?? false
      if (!held) left -= 500
      if (left <= 0) dismiss(id)
    }, 500)
    return () => clearInterval(timer)
  }, [id])
  return (
    <div className="toast" data-kind={kind} ref={box}>
      <Icon name={kind === 'done' ? 'check' : 'warning'} />
      <span>{say(text)}</span>
      {undo && (
        <button
          type="button"
          className="button small"
          onClick={() => {
            dismiss(id)
            undo()
          }}
        >
          {words.rules.undo}
        </button>
      )}
      <button
        type="button"
        className="button icon-only"
        onClick={() => dismiss(id)}
        aria-label={words.rules.close}
      >
        <Icon name="cross" size={14} />
      </button>
    </div>
  )
}
