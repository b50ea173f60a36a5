// What the documentation shows of bench/results/: a picture of medians by peer, and the table of targets.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './processes.mjs'
import { judge, number } from './table.mjs'

const ours = new Set(['splice', 'sockets', 'kernel', '1 rule', '10,000 rules'])
/** One panel each: row, metric. */
const panels = [
  ['bulk', 'gbps1'],
  ['bulk', 'cpu1'],
  ['small', 'rate32'],
  ['small', 'cpu32'],
  ['connect', 'rate'],
  ['rtt', 'idle50'],
  ['udp', 'trips8'],
  ['udp', 'oneWay'],
  ['idle', 'kib'],
  ['kernel', 'tcp'],
]
const width = 420
const barHeight = 16
const gap = 4

export function readResults() {
  const folder = join(root, 'bench/results')
  if (!existsSync(folder)) return new Map()
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'))
  return new Map(
    files.map((name) => [name.slice(0, -5), JSON.parse(readFileSync(join(folder, name), 'utf8'))]),
  )
}

/** Writes docs/performance.svg and the table inside docs/performance.md. */
export function drawChart() {
  const results = readResults()
  mkdirSync(join(root, 'docs'), { recursive: true })
  writeFileSync(join(root, 'docs/performance.svg'), picture(results))
  const page = join(root, 'docs/performance.md')
  if (!existsSync(page)) return
  const text = readFileSync(page, 'utf8')
  const table = `<!-- results -->\n\n${targetsTable(results)}\n<!-- end of results -->`
  writeFileSync(
    page,
    text.replace(/<!-- results -->[\s\S]*<!-- end of results -->/, () => table),
  )
}

function picture(results) {
  const drawn = panels.flatMap(([row, metric]) => {
    const result = results.get(row)
    return result?.metrics[metric] ? [panel(result, metric)] : []
  })
  const columns = [0, 1].map((column) => drawn.filter((_, index) => index % 2 === column))
  const height = Math.max(0, ...columns.map((column) => column.reduce((sum, each) => sum + each.height, 0)))
  const body = columns.flatMap((column, index) => {
    let y = 10
    return column.map((each) => {
      const placed = `<g transform="translate(${10 + index * (width + 20)} ${y})">${each.svg}</g>`
      y += each.height
      return placed
    })
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${2 * width + 50} ${height + 20}" role="img" aria-label="Naru against other forwarders">
<style>text{font:12px system-ui,sans-serif;fill:#222}.t{font-weight:600}.ours{fill:#0b7285}.peer{fill:#adb5bd}
@media(prefers-color-scheme:dark){text{fill:#e9ecef}.peer{fill:#5c636a}.ours{fill:#3bc9db}}</style>
${body.join('\n')}
</svg>
`
}

function panel(result, metric) {
  const { label, better } = result.metrics[metric]
  const bars = Object.entries(result.peers).flatMap(([name, { summary }]) => {
    const middle = summary[metric]?.median
    return middle == null ? [] : [{ name, middle, spread: summary[metric].spread ?? 0 }]
  })
  bars.sort((a, b) => (better === 'more' ? b.middle - a.middle : a.middle - b.middle))
  const most = Math.max(...bars.map(({ middle }) => middle), Number.MIN_VALUE)
  const lines = bars.map(({ name, middle, spread }, index) => {
    const y = 24 + index * (barHeight + gap)
    const long = Math.max(1, Math.round((middle / most) * (width - 230)))
    const kind = ours.has(name) ? 'ours' : 'peer'
    return (
      `<text x="0" y="${y + 12}">${name}</text><rect class="${kind}" x="100" y="${y}" width="${long}" height="${barHeight}"/>` +
      `<text x="${106 + long}" y="${y + 12}">${number(middle)} ±${Math.round(spread * 100)}%</text>`
    )
  })
  const title = `${result.name}: ${label} (${better === 'more' ? 'longer' : 'shorter'} is better)`
  const svg = `<text class="t" x="0" y="12">${title}</text>${lines.join('')}`
  return { svg, height: 24 + bars.length * (barHeight + gap) + 18 }
}

function targetsTable(results) {
  const rows = [...results.values()].flatMap((result) =>
    (result.targets ?? []).map((target) => line(result, target)),
  )
  const head =
    '| row | figure | ours | theirs | ratio | target | |\n| --- | --- | --- | --- | --- | --- | --- |\n'
  return `${head}${rows.join('\n')}\n`
}

function line(result, target) {
  const { metric, ours: engine, peer } = target
  const cell = (name) => {
    const { median, spread } = result.peers[name]?.summary?.[metric] ?? {}
    return median == null ? '-' : `${number(median)} ±${Math.round((spread ?? 0) * 100)}%`
  }
  const verdict = judge(result, target)
  const wanted = target.atLeast === undefined ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`
  const reached = verdict === null ? 'not measured' : verdict.met ? 'reached' : 'not reached'
  const theirs = peer ? `${peer}: ${cell(peer)}` : ''
  const ratio = peer && verdict ? number(verdict.ratio) : ''
  return `| ${result.name} | ${result.metrics[metric].label} | ${engine}: ${cell(engine)} | ${theirs} | ${ratio} | ${wanted} | ${reached} |`
}
