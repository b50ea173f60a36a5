/**
 * Text that others had a hand in, made fit for a terminal and a log: names of processes, routers, guests and keys of a
 * file may hold escape sequences, line breaks and signs that turn the direction of what follows. Each such sign is
 * shown as JSON would write it (`\u001b`), so that JSON that goes through here says the same as before.
 */

/** Controls, formats (bidi, zero width), line and paragraph separators, halves of a pair. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
const unseenButLines = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
// oxlint-disable-next-line no-control-regex -- what most texts are made of
const plain = /^[\t\n\u0020-\u007E]*$/

/** A name, a cell, a line: nothing in it moves the cursor. */
export function visible(text: string): string {
  return text.replace(unseen, spelled)
}

/** A text of several lines; tabs stay too. */
export function visibleLines(text: string): string {
  return plain.test(text) ? text : text.replace(unseenButLines, spelled)
}

function spelled(sign: string): string {
  return Array.from({ length: sign.length }, (_, at) => {
    const unit = sign.charCodeAt(at)
    return `\\u${unit.toString(16).padStart(4, '0')}`
  }).join('')
}
