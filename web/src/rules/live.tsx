/** Engine, connections, rates and expiry of a rule in a line, and its switch. */
import { useState } from 'react'
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import { Icon } from '../parts/icon.tsx'
import { Switch } from '../parts/switch.tsx'
import { switchRule } from '../state/changes.ts'
import { naru } from '../state/naru.ts'
import { useNow } from '../state/now.ts'
import { useWatched } from '../state/watched.ts'
import { durationText, rateText } from '../words/figures.ts'
import { useWords } from '../words/index.ts'

export function OnSwitch({ rule: { name, rule } }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const access = useWatched(naru.access)
  const link = useWatched(naru.link)
  const [wish, setWish] = useState<boolean | null>(null)
  const on = rule.enabled !== false
  const change = async (next: boolean): Promise<void> => {
    setWish(next)
    await switchRule(name, next)
    setWish(null)
  }
  return (
    <Switch
      on={wish ?? on}
      label={words.rules.onNamed(name)}
      disabled={access === 'read' || link.state === 'lost' || wish !== null}
      onSwitch={(next) => void change(next)}
    />
  )
}

export function Live({ rule }: { readonly rule: RuleStatus }) {
  const { words, say } = useWords()
  const { engine, counters, rate, until } = rule
  return (
    <ul className="live">
      {engine && (
        <li title={say(engine.why)}>
          <span className="hidden">{words.rules.engine}: </span>
          <span className="engine">{engine.id}</span>
          <span className="engine-why"> {say(engine.brief)}</span>
        </li>
      )}
      {counters.open > 0 && <li className="figure">{words.rules.connections(counters.open)}</li>}
      {rate.toTarget + rate.toClient > 0 && <Rates rate={rate} />}
      {until !== null && (
        <li className="figure">
          <Icon name="clock" size={12} /> <Countdown until={until} />
        </li>
      )}
    </ul>
  )
}

/** As everywhere in Naru: ↓ flows in to the service, ↑ flows out to clients. */
function Rates({ rate }: Pick<RuleStatus, 'rate'>) {
  const { words } = useWords()
  return (
    <li className="figure rates">
      <span title={words.traffic.toTarget}>
        <Icon name="down" size={12} />
        <span className="hidden">{words.traffic.toTarget} </span> {rateText(rate.toTarget)}
      </span>{' '}
      <span title={words.traffic.toClient}>
        <Icon name="up" size={12} />
        <span className="hidden">{words.traffic.toClient} </span> {rateText(rate.toClient)}
      </span>
    </li>
  )
}

function Countdown({ until }: { readonly until: number }) {
  const { words } = useWords()
  const now = useNow()
  return until <= now ? words.rules.expired : words.rules.expires(durationText(until - now, words))
}
