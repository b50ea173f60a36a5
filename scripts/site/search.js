// Finds parts of pages that have all the words. What is searched is fetched once somebody begins to type.
const field = document.getElementById('search')
const found = document.getElementById('found')
const { up, none } = field.dataset
let parts = null

field.addEventListener('focus', () => void load())
field.addEventListener('input', () => void show())
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') found.hidden = true
})
document.addEventListener('click', (event) => {
  if (!event.target.closest('search')) found.hidden = true
})
// Where there is room the list of pages is open.
if (matchMedia('(min-width: 900px)').matches) document.querySelector('details').open = true

function load() {
  parts ??= fetch(`${up}search.${document.documentElement.lang}.json`).then((answer) => answer.json())
  return parts
}

async function show() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) {
    found.hidden = true
    return
  }
  const all = (await load())
    .map((part) => ({ part, rank: rankOf(part, words) }))
    .filter(({ rank }) => rank > 0)
  all.sort((a, b) => b.rank - a.rank)
  found.replaceChildren(
    ...(all.length === 0 ? [line(none)] : all.slice(0, 12).map(({ part }) => hit(part, words))),
  )
  found.hidden = false
}

/** 0 where a word is missing; a word in a heading counts more than one in the text. */
function rankOf({ title, heading, text }, words) {
  let rank = 0
  for (const word of words) {
    const at = [heading, title, text].findIndex((where) => where.toLowerCase().includes(word))
    if (at === -1) return 0
    rank += [9, 3, 1][at]
  }
  return rank
}

function hit({ address, title, heading, text }, words) {
  const item = document.createElement('li')
  const link = document.createElement('a')
  link.href = up + address
  link.textContent = heading === title ? title : `${title} · ${heading}`
  const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 40)
  const few = document.createElement('small')
  few.textContent = text.slice(at, at + 140)
  link.append(few)
  item.append(link)
  return item
}

function line(text) {
  const item = document.createElement('li')
  item.textContent = text
  return item
}
