// The bench: rows by name, each measured in interleaved runs over every peer, so that what the machine does meanwhile
// meets all alike. Prints medians with their spread and our ratio, keeps every raw figure in bench/results/.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { drawChart } from './chart.mjs'
import { root, stopAll } from './processes.mjs'
import { median, showRow, spread } from './table.mjs'

/** @param names rows to run; none are all. @param options runs (5), seconds a measurement (2), save (true) */
export async function bench(names, { runs = 5, seconds = 2, save = true, only = null } = {}) {
  process.setMaxListeners(100)
  const rows = await rowsNamed(names)
  const results = []
  for (const sig of ['SIGINT', 'SIGTERM'])
    process.once(sig, () => void stopAll().then(() => process.exit(130)))
  try {
    for (const row of rows) results.push(await measureRow(row, { runs, seconds, only }))
  } finally {
    await stopAll()
  }
  if (save) keep(results, { runs, seconds })
  return results
}

export async function rowsNamed(names) {
  const folder = join(root, 'bench/rows')
  const all = readdirSync(folder)
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => name.slice(0, -4))
    .sort()
  const unknown = names.filter((name) => !all.includes(name))
  if (unknown.length > 0) throw new Error(`no such row: ${unknown.join(', ')}; there are ${all.join(', ')}`)
  const wanted = names.length > 0 ? names : all
  return Promise.all(
    wanted.map(async (name) => ({ name, ...(await import(pathToFileURL(join(folder, `${name}.mjs`)))) })),
  )
}

async function measureRow(row, { runs, seconds, only }) {
  const began = performance.now()
  process.stderr.write(`${row.name}: ${row.title}\n`)
  const reason = row.missing?.() ?? null
  if (reason) {
    process.stdout.write(`${row.name}: not measured here: ${reason}\n\n`)
    return { name: row.name, title: row.title, missing: reason, peers: {} }
  }
  const samples = {}
  const stage = await row.prepare({ seconds, runs })
  try {
    const peers = Object.keys(stage.peers).filter((name) => !only || only.includes(name))
    for (let round = 0; round < (row.warms ?? 0); round++)
      for (const name of peers) await stage.peers[name]().catch(() => {})
    for (let index = 0; index < runs; index++) {
      // Another one begins each time: being first is no peer's privilege.
      for (let turn = 0; turn < peers.length; turn++) {
        const name = peers[(index + turn) % peers.length]
        process.stderr.write(`  run ${index + 1}/${runs} ${name}          \r`)
        const figures = await stage.peers[name]().catch((error) => ({
          failed: firstLine(error),
        }))
        ;(samples[name] ??= []).push(figures)
      }
    }
  } finally {
    await stage.end?.()
    await stopAll()
  }
  const result = {
    name: row.name,
    title: row.title,
    metrics: row.metrics,
    targets: row.targets ?? [],
    tookSeconds: Math.round((performance.now() - began) / 1000),
    peers: Object.fromEntries(
      Object.entries(samples).map(([name, runsOf]) => [name, { runs: runsOf, ...summary(row, runsOf) }]),
    ),
  }
  process.stdout.write(`${showRow(result)}\n`)
  return result
}

/** Without this machine's paths: the results are committed. */
function firstLine(error) {
  const [line] = String(error.message ?? error).split('\n')
  return line.replaceAll(root, '')
}

function summary(row, runs) {
  return {
    summary: Object.fromEntries(
      Object.keys(row.metrics).map((metric) => {
        const values = runs.map((figures) => figures[metric]).filter((value) => typeof value === 'number')
        return [metric, { median: median(values), spread: spread(values) }]
      }),
    ),
  }
}

function keep(results, { runs, seconds }) {
  const folder = join(root, 'bench/results')
  mkdirSync(folder, { recursive: true })
  const at = new Date().toISOString()
  const machine = {
    cpu: cpus()[0]?.model ?? '',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
  }
  for (const result of results) {
    if (result.missing) continue
    writeFileSync(
      join(folder, `${result.name}.json`),
      `${JSON.stringify({ at, runs, seconds, machine, ...result }, null, 1)}\n`,
    )
  }
  drawChart()
}
