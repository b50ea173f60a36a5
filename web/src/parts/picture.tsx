/**
 * The path of a rule as a picture: from the client through every hop to the service, each with where it is reached,
 * its state, and what flows. It lies on a wide screen and stands on a narrow one. What it shows is told in words below it.
 */
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import type { Json } from '../../../src/model/hop.ts'
import { mappedBy } from '../../../src/model/mapped.ts'
import { useNarrow } from '../state/narrow.ts'
import { rateText } from '../words/figures.ts'
import { useWords } from '../words/index.ts'
import { columnsOf, listenParts, targetParts } from './columns.ts'
import { pathOf, stateIcons, type PathState } from './hops.ts'
import { iconPath, type IconName } from './icon.tsx'

interface Node {
  readonly icon: IconName
  readonly title: string
  /** Who does it, such as `pcp`. */
  readonly member: string
  readonly lines: readonly string[]
  readonly state: PathState | 'plain'
}

const size = { width: 148, height: 112, gap: 44, standing: 92 }

export function PathPicture({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const narrow = useNarrow()
  const nodes = useNodes(rule)
  const told = nodes.map(({ title, lines, state }) =>
    [title, lines.join(' '), state === 'plain' ? '' : words.hopState[state]].filter(Boolean).join(', '),
  )
  const step = narrow ? size.standing + 34 : size.width + size.gap
  const width = narrow ? 340 : nodes.length * step - size.gap
  const height = narrow ? nodes.length * step - 34 : size.height
  const moves = rule.rate.toTarget + rule.rate.toClient > 0
  return (
    <svg
      className="picture"
      viewBox={`-3 -3 ${width + 6} ${height + 6}`}
      role="img"
      aria-label={words.rule.pathOf(rule.name, told.join(' → '))}
      data-narrow={narrow}
      data-moves={moves}
      style={{ maxWidth: `${Math.round(width * 1.25)}px` }}
    >
      {nodes.slice(1).map((node, index) => (
        <Wire
          key={node.title}
          index={index}
          step={step}
          narrow={narrow}
          width={width}
          rule={rule}
          to={node.state}
        />
      ))}
      {nodes.map((node, index) => (
        <g
          key={node.title}
          transform={narrow ? `translate(0 ${index * step})` : `translate(${index * step} 0)`}
          className="node"
          data-state={node.state}
        >
          {narrow ? <Standing node={node} width={width} /> : <Lying node={node} />}
        </g>
      ))}
    </svg>
  )
}

function useNodes(rule: RuleStatus): readonly Node[] {
  const { words } = useWords()
  const columns = columnsOf(rule)
  const listen = listenParts(rule.listen)
  const [source = words.rules.anyone] = columns.source
  const hops = pathOf(rule).filter(
    ({ hop, state }) => state !== 'none' || hop === 'relay' || hop === 'service',
  )
  const client: Node = {
    icon: 'client',
    title: words.hop.client,
    member: '',
    lines: [source, ...(columns.source.length > 1 ? [words.rules.andMore(columns.source.length - 1)] : [])],
    state: 'plain',
  }
  return [
    client,
    ...hops.map(({ hop, state, status }): Node => {
      const lines = {
        router: routerLines(status?.data ?? null, columns.externalPort),
        firewall: [`${listen.port} ${listen.protocol}`],
        relay: [
          listen.address === '' ? words.rule.everyPort : listen.address,
          `${listen.port} ${listen.protocol}`,
        ],
        guest: guestLines(rule.targets[0] ?? '', status?.data ?? null),
        service: [columns.target === '' ? words.rule.ourselves : columns.target, columns.internalPort],
      }[hop]
      return {
        icon: hop,
        title: words.hop[hop],
        member: hop === 'service' || status?.member === hop ? '' : (status?.member ?? ''),
        lines,
        state,
      }
    }),
  ]
}

/** An IPv4 address, where there is one, is what people give out. */
function routerLines(data: Json, port: string): readonly string[] {
  const all = mappedBy(data).flatMap(({ address }) => address ?? [])
  const outside = all.find((address) => !address.includes(':')) ?? all[0]
  return outside === undefined ? [port] : [outside, port]
}

/** Where the hypervisor forwards from; else the guest's own name. */
function guestLines(target: string, data: Json): readonly string[] {
  const { host, ports } = targetParts(target)
  const from = data as { address?: string; ports?: { first: number } } | null
  return typeof from?.address === 'string' && from.ports
    ? [host, `${from.address}:${from.ports.first}`]
    : [host, ports]
}

const isAtRest = ({ state }: RuleStatus): boolean =>
  state === 'disabled' || state === 'expired' || state === 'stopped'

interface WireProps {
  readonly index: number
  readonly step: number
  readonly narrow: boolean
  readonly width: number
  readonly rule: RuleStatus
  readonly to: Node['state']
}

/** Between two hops: still, moving, or cut. */
function Wire({ index, step, narrow, rule, to }: WireProps) {
  // Nobody is kept from what is not meant to be open.
  const cut = to === 'broken' || (to === 'off' && !isAtRest(rule))
  const [x1, y1] = narrow ? [36, index * step + size.standing] : [index * step + size.width, size.height / 2]
  const length = narrow ? 34 : size.gap
  const [x2, y2] = narrow ? [x1, y1 + length] : [x1 + length, y1]
  const { toTarget, toClient } = rule.rate
  const moves = toTarget + toClient > 0 && !cut
  return (
    <g className="wire" data-cut={cut} data-moves={moves}>
      <line x1={x1} y1={y1} x2={x2} y2={y2} />
      {moves && (
        <line
          className="flow"
          data-direction={toClient > toTarget ? 'out' : 'in'}
          x1={x1}
          y1={y1}
          x2={x2}
          y2={y2}
        />
      )}
      {cut && <path className="cut" d={`M${(x1 + x2) / 2 - 6} ${(y1 + y2) / 2 - 6}l12 12m0-12l-12 12`} />}
      {narrow && index === 0 && moves && (
        <text className="rate" x={56} y={y1 + 22}>
          ↓ {rateText(toTarget)} ↑ {rateText(toClient)}
        </text>
      )}
    </g>
  )
}

function Lying({ node: { icon, title, member, lines, state } }: { readonly node: Node }) {
  return (
    <>
      <rect width={size.width} height={size.height} rx={14} />
      <path className="node-icon" d={iconPath(icon)} transform="translate(14 14) scale(1.1)" />
      <Mark state={state} x={size.width - 22} y={22} />
      <text className="node-title" x={14} y={58}>
        {title}
        {member !== '' && (
          <tspan className="node-member" dx={5}>
            {fit(member, 11)}
          </tspan>
        )}
      </text>
      {lines.slice(0, 2).map((line, index) => (
        <text key={line} className="node-line" x={14} y={79 + index * 18}>
          <title>{line}</title>
          {fit(line, 17)}
        </text>
      ))}
    </>
  )
}

function Standing({
  node: { icon, title, member, lines, state },
  width,
}: {
  readonly node: Node
  readonly width: number
}) {
  return (
    <>
      <rect width={width} height={size.standing} rx={16} />
      <path className="node-icon" d={iconPath(icon)} transform="translate(20 28) scale(1.7)" />
      <Mark state={state} x={width - 30} y={size.standing / 2} />
      <text className="node-title" x={76} y={lines.length > 1 ? 32 : 40}>
        {title}
        {member !== '' && (
          <tspan className="node-member" dx={6}>
            {fit(member, 18)}
          </tspan>
        )}
      </text>
      {lines.slice(0, 2).map((line, index) => (
        <text key={line} className="node-line" x={76} y={(lines.length > 1 ? 54 : 64) + index * 20}>
          {fit(line, 24)}
        </text>
      ))}
    </>
  )
}

function Mark({ state, x, y }: { readonly state: Node['state']; readonly x: number; readonly y: number }) {
  if (state === 'plain') return null
  return (
    <g className="node-mark" transform={`translate(${x} ${y})`}>
      <circle r={11} />
      <path d={iconPath(stateIcons[state])} transform="translate(-7 -7) scale(.7)" />
    </g>
  )
}

function fit(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`
}
