/** What is wrong with how a page lies on a screen: wider than it, a word broken in its middle, a text that does not fit. */
import type { Page } from 'playwright-core'

/** A line each; empty where all is well. */
export function layoutFaults(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(look)
}

const look = String.raw`(() => {
  const faults = []
  const root = document.documentElement
  const wider = root.scrollWidth - root.clientWidth
  if (wider > 0) faults.push('wider than the screen by ' + wider + ' px')
  const isHidden = (element) =>
    element.closest('.hidden, [hidden], [aria-hidden="true"], .u-wrap, svg') !== null ||
    !element.checkVisibility({ visibilityProperty: true })
  // More letters than any word of ours has: a machine's name, which may break wherever its place ends.
  const longest = 24
  // One that is wider than its whole line can but break.
  const ruler = document.createElement('canvas').getContext('2d')
  const fits = (word, parent) => {
    let box = parent
    while (getComputedStyle(box).display.startsWith('inline')) box = box.parentElement
    ruler.font = getComputedStyle(parent).font
    return ruler.measureText(word).width <= box.clientWidth
  }
  const start = (text) => text.trim().slice(0, 60)

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const range = document.createRange()
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement
    if (!parent || isHidden(parent) || parent.closest('pre, code, option')) continue
    for (const { 0: word, index } of node.data.matchAll(/[\p{L}\p{N}]+/gu)) {
      range.setStart(node, index)
      range.setEnd(node, index + word.length)
      const tops = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)))
      if (tops.size > 1 && word.length <= longest && fits(word, parent)) faults.push('broken in its middle: ' + word + ' in "' + start(node.data) + '"')
    }
  }

  // Of what has an edge that one sees, text must not hang over it either.
  const edged = '.badge, .tag, .button, .card, .note, td, th'
  for (const element of document.body.querySelectorAll('*')) {
    if (isHidden(element)) continue
    const { overflowX } = getComputedStyle(element)
    // What is typed into scrolls.
    if (element.matches('input')) continue
    const cuts = overflowX === 'hidden' || overflowX === 'clip'
    if (!cuts && !(overflowX === 'visible' && element.matches(edged))) continue
    if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0)
      faults.push('does not fit: ' + element.tagName + ' "' + start(element.textContent) + '"')
  }
  return faults
})()`
