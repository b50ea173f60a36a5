/** A button that copies a text. */
import { useState } from 'react'
import { useWords } from '../words/index.ts'
import { Icon } from './icon.tsx'

export interface CopyProps {
  readonly text: string
  /** Named for screen readers where there are several. @default the text itself */
  readonly what?: string
  readonly iconOnly?: boolean
}

export function Copy({ text, what = text, iconOnly = false }: CopyProps) {
  const { words } = useWords()
  const [copied, setCopied] = useState(false)
  const copy = (): void => void copyText(text).then(setCopied)
  return (
    <button
      type="button"
      className={iconOnly ? 'button icon-only' : 'button small'}
      aria-label={iconOnly ? words.give.copyNamed(what) : undefined}
      title={iconOnly ? (copied ? words.doctor.copied : words.doctor.copy) : undefined}
      onClick={copy}
    >
      <Icon name={copied ? 'check' : 'copy'} size={14} />
      {!iconOnly && <> {copied ? words.doctor.copied : words.doctor.copy}</>}
      {iconOnly && (
        <span className="hidden" role="status">
          {copied && words.doctor.copied}
        </span>
      )}
    </button>
  )
}

/** @returns whether it is in the clipboard. The browser gives none to a page that came over plain HTTP from a network. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text)
  }
}

function copyBySelection(text: string): boolean {
  const before = document.activeElement
  const box = document.createElement('textarea')
  box.value = text
  box.className = 'hidden'
  document.body.append(box)
  box.select()
  try {
    return document.execCommand('copy')
  } finally {
    box.remove()
    if (before instanceof HTMLElement) before.focus({ preventScroll: true })
  }
}
