// Figures for people: medians, spread, and how ours stand against each target.

export function median(values) {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Half of the distance between the quartiles, as a share of the median: what half of the runs stayed within. */
export function spread(values) {
  if (values.length < 2) return null
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share) => sorted[Math.round((sorted.length - 1) * share)]
  const middle = median(values)
  return middle === 0 ? 0 : (at(0.75) - at(0.25)) / 2 / middle
}

/** `≥ 1.25` against the ratio of medians. Null where one of the two was not measured. */
export function judge(result, { metric, ours, peer, atLeast, atMost, value }) {
  const mine = result.peers[ours]?.summary?.[metric]?.median
  const theirs = peer ? result.peers[peer]?.summary?.[metric]?.median : 1
  if (mine == null || theirs == null || (peer && theirs === 0)) return null
  const ratio = mine / theirs
  const met = atLeast !== undefined ? ratio >= atLeast : ratio <= (atMost ?? value)
  return { ratio, met }
}

export function showRow(result) {
  const metrics = Object.entries(result.metrics)
  const lines = [`${result.name}: ${result.title} (${result.tookSeconds} s)`]
  const head = ['', ...metrics.map(([, { label }]) => label)]
  const body = Object.entries(result.peers).map(([peer, { summary, runs }]) => [
    peer,
    ...metrics.map(([metric]) => cell(summary[metric], runs)),
  ])
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((row) => row[column].length)))
  for (const row of [head, ...body])
    lines.push(
      `  ${row.map((text, column) => (column === 0 ? text.padEnd(widths[0]) : text.padStart(widths[column]))).join('  ')}`,
    )
  for (const [peer, { runs }] of Object.entries(result.peers)) {
    const failed = runs.find((figures) => figures.failed)
    if (failed) lines.push(`  ${peer} failed: ${failed.failed.split('\n')[0].slice(0, 160)}`)
  }
  for (const target of result.targets) lines.push(`  ${showTarget(result, target)}`)
  return `${lines.join('\n')}\n`
}

export function showTarget(result, target) {
  const verdict = judge(result, target)
  const { metric, ours, peer } = target
  const label = result.metrics[metric].label
  const wanted = target.atLeast !== undefined ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`
  const against = peer ? ` × ${peer}` : ''
  if (!verdict) return `${label}: ${ours} ${wanted}${against}: not measured`
  return `${label}: ${ours} is ${number(verdict.ratio)}${against}, target ${wanted}: ${verdict.met ? 'reached' : 'NOT reached'}`
}

function cell(summary, runs) {
  if (summary.median === null) return runs.find(({ failed }) => failed) ? 'failed' : '-'
  const around = summary.spread === null ? '' : ` ±${Math.round(summary.spread * 100)}%`
  return `${number(summary.median)}${around}`
}

export function number(value) {
  if (value === 0) return '0'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}
