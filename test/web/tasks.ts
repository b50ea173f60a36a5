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

export async function tasksOf(browser: Browser, page: Page, story: () => Promise<void>): Promise<Tasks> {
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
