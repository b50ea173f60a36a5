/**
 * How long the page keeps its browser from anything else: the tasks of its main thread, each with the processor time
 * that it took. Time of the clock would tell how busy the machine is, and not how much there was to do.
 */
import type { Browser, Page } from 'playwright-core'

export interface Tasks {
  /** Processor time of the longest, ms. */
  readonly longestMs: number
  /** Over 50 ms by the clock, as PerformanceObserver counts them: told, and held to nothing. */
  readonly longByClock: number
}

interface TraceEvent {
  readonly name: string
  readonly ph: string
  readonly pid: number
  readonly tid: number
  /** Microseconds: of the clock, and of the thread's processor time. */
  readonly dur?: number
  readonly tdur?: number
  readonly args?: { readonly name?: string }
}

/** To be called before the page is loaded anew. */
export async function watchTasks(page: Page): Promise<void> {
  const observer =
    'new PerformanceObserver((list) => window.longTasks.push(...list.getEntries())).observe({ type: "longtask" })'
  await page.addInitScript(`window.longTasks = []; ${observer}`)
}

/** A table of 200 rows made, laid out and taken away again, in one task. */
const pieceOfWork = `
  const table = document.createElement('table')
  for (let row = 0; row < 200; row++) {
    const cells = table.insertRow()
    for (let cell = 0; cell < 8; cell++) cells.insertCell().append('cell ' + row + ' ' + cell)
  }
  document.body.append(table)
  table.getBoundingClientRect()
  table.remove()`

/**
 * Processor time of a known piece of work in this browser now, the least of three: what a task takes is told in it, as
 * milliseconds alone tell how fast this machine is, and how much of it others have.
 */
export async function workMs(browser: Browser, page: Page): Promise<number> {
  const times: number[] = []
  for (let time = 0; time < 3; time++)
    times.push((await tasksOf(browser, page, () => page.evaluate(`{${pieceOfWork}}`))).longestMs)
  // A trace that began too late has nothing of it.
  const whole = times.filter((ms) => ms >= leastWorkMs)
  if (whole.length === 0) throw new Error(`no trace tells of the work: ${times.join(', ')} ms`)
  return Math.min(...whole)
}

/** No machine does a piece of work in less. */
const leastWorkMs = 2

export async function tasksOf(browser: Browser, page: Page, story: () => Promise<unknown>): Promise<Tasks> {
  const categories = ['toplevel', 'disabled-by-default-devtools.timeline', 'devtools.timeline']
  await browser.startTracing(page, { categories })
  let trace: Buffer
  try {
    await story()
  } finally {
    trace = await browser.stopTracing()
  }
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] }
  const mains = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`),
  )
  const times = traceEvents
    .filter(({ name, ph, pid, tid }) => name === 'RunTask' && ph === 'X' && mains.has(`${pid} ${tid}`))
    .map(({ tdur, dur = 0 }) => tdur ?? dur)
  if (times.length === 0) throw new Error('the trace tells of no task')
  const longByClock = await page.evaluate<number>('window.longTasks.splice(0).length')
  return { longestMs: Math.max(...times) / 1000, longByClock }
}
