/** A chart of one or two lines over the last minutes or hours. What it shows now is told in words, too. */
import { useEffect, useRef } from 'react'
import UPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { theme } from '../state/look.ts'
import { useWatched } from '../state/watched.ts'

export interface ChartLine {
  readonly label: string
  /** A custom property of the sheet, such as `--in`. */
  readonly colour: string
}

export interface ChartProps {
  readonly label: string
  readonly time: readonly number[]
  /** So far back from now, however young the page is. */
  readonly spanMs: number
  readonly lines: readonly ChartLine[]
  /** Null leaves a gap. */
  readonly values: readonly (readonly (number | null)[])[]
  readonly text: (value: number) => string
  readonly smallestTop: number
}

const height = 220

export function Chart({ label, time, spanMs, lines, values, text, smallestTop }: ChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | null>(null)
  const chosen = useWatched(theme)
  const key = lines.map(({ label: name }) => name).join('|')
  useEffect(() => {
    const element = box.current
    if (element === null) return
    const made = new UPlot(
      optionsOf(element, { spanMs, lines, text, smallestTop }),
      [[], ...lines.map(() => [])],
      element,
    )
    plot.current = made
    const watcher = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }))
    watcher.observe(element)
    return () => {
      watcher.disconnect()
      made.destroy()
      plot.current = null
    }
    // `lines` and `text` are made anew at each drawing; `key` says when they differ.
  }, [chosen, key, smallestTop, spanMs])
  useEffect(() => {
    plot.current?.setData([time as number[], ...(values as (number | null)[][])])
  })
  const now = lines.map(({ label: name }, index) => `${name} ${text(values[index]?.at(-1) ?? 0)}`)
  return (
    <figure className="chart">
      <figcaption>
        <span className="label">{label}</span>
        <span className="legend figure">
          {lines.map(({ label: name, colour }, index) => (
            <span key={name}>
              <i data-colour={colour} aria-hidden="true" /> {name} <b>{text(values[index]?.at(-1) ?? 0)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} role="img" aria-label={`${label}: ${now.join(', ')}`} />
    </figure>
  )
}

/** What a name of the sheet stands for in the theme that is on: a canvas knows no names. */
function colourOf(element: HTMLElement, name: string): string {
  element.style.color = `var(${name})`
  const { color } = getComputedStyle(element)
  element.style.removeProperty('color')
  return color
}

function optionsOf(
  element: HTMLElement,
  { spanMs, lines, text, smallestTop }: Pick<ChartProps, 'spanMs' | 'lines' | 'text' | 'smallestTop'>,
): UPlot.Options {
  const style = getComputedStyle(element)
  const colour = (name: string): string => colourOf(element, name)
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: `12px ${style.fontFamily}`,
  }
  const clock = (seconds: number): string =>
    new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false })
  return {
    width: element.clientWidth,
    height,
    cursor: { show: false },
    legend: { show: false },
    scales: {
      x: { range: () => [(Date.now() - spanMs) / 1000, Date.now() / 1000] },
      y: { range: (_plot, _least, most) => [0, Math.max(most * 1.1, smallestTop)] },
    },
    axes: [
      { ...axis, values: (_plot, splits) => splits.map(clock) },
      {
        ...axis,
        size: 78,
        values: (_plot, splits) => splits.map((value) => (value % 1 === 0 ? text(value) : '')),
      },
    ],
    series: [
      {},
      ...lines.map(({ colour: name }) => ({
        stroke: colour(name),
        fill: `color-mix(in srgb, ${colour(name)} 12%, transparent)`,
        width: 1.75,
        points: { show: false },
      })),
    ],
  }
}
