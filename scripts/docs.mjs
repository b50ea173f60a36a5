// `npm run docs`: the pages of docs/, and those beside it, as a site of static files in out/site/: Korean and English, a
// search that asks nobody, no request to another host. A link that leads nowhere ends it with 1.
//   node scripts/docs.mjs [FOLDER]
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { Marked } from 'marked'

const root = fileURLToPath(new URL('..', import.meta.url))
const out = resolve(argv[2] ?? join(root, 'out/site'))
const style = readFileSync(new URL('site/style.css', import.meta.url), 'utf8')
const script = readFileSync(new URL('site/search.js', import.meta.url), 'utf8')

const words = {
  en: { search: 'Search', menu: 'Pages', other: '한국어', none: 'Nothing has these words.' },
  ko: { search: '검색', menu: '목차', other: 'English', none: '찾는 말이 있는 페이지가 없습니다.' },
}

/** Paths from the root, with slashes; a page of Korean ends with `.ko.md`. */
const paths = [
  ...readdirSync(root).map((name) => name),
  ...['docs', 'examples'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map(
      (name) => `${folder}/${String(name).replaceAll('\\', '/')}`,
    ),
  ),
]
  .filter((path) => path.endsWith('.md'))
  .toSorted((a, b) => (a < b ? -1 : 1))
const faults = []
const pages = new Map(paths.map((path) => [path, read(path)]))

rmSync(out, { recursive: true, force: true })
const copied = new Set()
for (const [path, page] of pages) write(addressOf(path), pageOf(path, page))
for (const language of ['en', 'ko']) write(`search.${language}.json`, JSON.stringify(entriesOf(language)))
write('style.css', style)
write('search.js', script)
copyFileSync(join(root, 'web/public/naru.svg'), join(out, 'naru.svg'))
write(
  'index.html',
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>Naru</title><meta http-equiv="refresh" content="0; url=README.html"><a href="README.html">Naru</a></html>\n',
)
for (const fault of faults) console.error(fault)
console.log(`${pages.size} pages, ${copied.size} other files: ${relative(process.cwd(), out) || out}`)
process.exitCode = faults.length === 0 ? 0 : 1

/** A page's headings and its parts, before any is written: links lead to headings of others. */
function read(path) {
  const tokens = new Marked({ gfm: true }).lexer(readFileSync(join(root, path), 'utf8'))
  const ids = new Map()
  const headings = []
  const parts = []
  for (const token of tokens) {
    if (token.type === 'heading') {
      const id = uniqueId(plain(token), ids)
      headings.push({ token, id })
      parts.push({ id, heading: plain(token), text: '' })
    } else if (parts.length > 0) parts.at(-1).text += ` ${plain(token)}`
  }
  const title = parts[0]?.heading ?? path
  return { tokens, headings, parts, title, language: path.endsWith('.ko.md') ? 'ko' : 'en' }
}

/** As forges make them: small, without signs, a hyphen for each space; the second of a name has `-1`. */
function uniqueId(heading, ids) {
  const id = heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-')
  const count = ids.get(id) ?? 0
  ids.set(id, count + 1)
  return count === 0 ? id : `${id}-${count}`
}

/** What is read of a token and all inside of it. */
function plain(token) {
  if (token.type === 'table')
    return [token.header, ...token.rows].map((row) => row.map((cell) => plain(cell)).join(' ')).join(' ')
  const inner = token.tokens ?? token.items
  if (inner) return inner.map(plain).join(token.type === 'list' ? ' ' : '')
  return unescaped(token.text ?? token.raw ?? '')
}

/** The lexer has what stands between tags as it is, and a few signs as entities. */
function unescaped(text) {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
}

function escaped(text) {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** HTML of what the site has in its own way: headings with names, links within it, tables and code that scroll. */
function rendererOf(path, title, ids) {
  return {
    heading(token) {
      return `<h${token.depth} id="${ids.get(token) ?? ''}">${this.parser.parseInline(token.tokens)}</h${token.depth}>\n`
    },
    link(token) {
      const text = this.parser.parseInline(token.tokens)
      const href = linkFrom(path, token.href)
      return href === null ? text : `<a href="${escaped(href)}">${text}</a>`
    },
    image(token) {
      return `<img src="${escaped(linkFrom(path, token.href) ?? '')}" alt="${escaped(token.text)}" loading="lazy">`
    },
    table(token) {
      // A column without a name has no heading.
      const cell = ({ tokens, text }, of) => {
        const as = text === '' ? 'td' : of
        return `<${as}>${this.parser.parseInline(tokens)}</${as}>`
      }
      const cells = (row, of) => `<tr>${row.map((one) => cell(one, of)).join('')}</tr>`
      const body = token.rows.map((row) => cells(row, 'td')).join('\n')
      return `<div class="wide" tabindex="0" role="group" aria-label="${escaped(title)}"><table><thead>${cells(token.header, 'th')}</thead><tbody>${body}</tbody></table></div>\n`
    },
    code(token) {
      return `<pre tabindex="0"><code>${escaped(token.text)}</code></pre>\n`
    },
  }
}

function pageOf(path, { tokens, headings, title, language }) {
  const marked = new Marked({ gfm: true })
  const ids = new Map(headings.map(({ token, id }) => [token, id]))
  marked.use({ renderer: rendererOf(path, title, ids) })
  const up = '../'.repeat(path.split('/').length - 1)
  const other = language === 'ko' ? path.replace(/\.ko\.md$/, '.md') : path.replace(/\.md$/, '.ko.md')
  const say = words[language]
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'">
<title>${escaped(title === 'Naru' ? title : `${title} · Naru`)}</title>
<link rel="icon" href="${up}naru.svg">
<link rel="stylesheet" href="${up}style.css">
<script src="${up}search.js" defer></script>
</head>
<body>
<header>
<a class="home" href="${up}${language === 'ko' && pages.has('README.ko.md') ? 'README.ko.html' : 'README.html'}">${language === 'ko' ? '나루' : 'Naru'}</a>
<search><label><span>${say.search}</span> <input type="search" id="search" autocomplete="off" data-up="${up}" data-none="${say.none}"></label>
<ul id="found" hidden></ul></search>
${pages.has(other) ? `<a lang="${language === 'ko' ? 'en' : 'ko'}" href="${up}${addressOf(other)}">${say.other}</a>` : ''}
</header>
<div class="page">
<nav aria-label="${say.menu}"><details><summary>${say.menu}</summary>
<ul>${menu(language, path, up)}</ul></details></nav>
<main>
${marked.parser(tokens)}</main>
</div>
</body>
</html>
`
}

/** Pages of the reader's language, and of English where there is no other. */
function menu(language, here, up) {
  return [...pages]
    .filter(([path]) => isFor(path, language))
    .map(([path, { title }]) => {
      const now = path === here ? ' aria-current="page"' : ''
      return `<li><a href="${up}${addressOf(path)}"${now}>${escaped(title)}</a></li>`
    })
    .join('\n')
}

function isFor(path, language) {
  const korean = path.endsWith('.ko.md')
  if (language === 'en') return !korean
  return korean || !pages.has(path.replace(/\.md$/, '.ko.md'))
}

function entriesOf(language) {
  return [...pages]
    .filter(([path]) => isFor(path, language))
    .flatMap(([path, { title, parts }]) =>
      parts.map(({ id, heading, text }) => ({
        address: `${addressOf(path)}#${id}`,
        title,
        heading,
        text: text.replaceAll(/\s+/g, ' ').trim(),
      })),
    )
}

/** @returns null where it leads out of the site: to a source, or a folder without a page */
function linkFrom(path, href) {
  if (/^[a-z]+:/i.test(href)) return href
  const [file = '', anchor] = href.split('#')
  const to =
    file === ''
      ? path
      : join(dirname(path), decodeURIComponent(file)).replaceAll('\\', '/').replace(/\/$/, '')
  const page = pages.get(to)
  if (page) {
    if (anchor !== undefined && !page.headings.some(({ id }) => id === decodeURIComponent(anchor)))
      faults.push(`${path}: ${href}: there is no such heading`)
    const address = relative(dirname(addressOf(path)), addressOf(to)).replaceAll('\\', '/')
    return `${file === '' ? '' : address}${anchor === undefined ? '' : `#${anchor}`}`
  }
  if (!existsSync(join(root, to))) {
    faults.push(`${path}: ${href}: there is no such file`)
    return null
  }
  if (statSync(join(root, to)).isDirectory() || !/^(docs|examples)\//.test(to)) return null
  if (!copied.has(to)) {
    mkdirSync(dirname(join(out, to)), { recursive: true })
    copyFileSync(join(root, to), join(out, to))
    copied.add(to)
  }
  return relative(dirname(addressOf(path)), to).replaceAll('\\', '/')
}

function addressOf(path) {
  return path.replace(/\.md$/, '.html')
}

function write(path, text) {
  mkdirSync(dirname(join(out, path)), { recursive: true })
  writeFileSync(join(out, path), text)
}
