/**
 * Engines that gave a rule up, or could not keep its word: `auto` passes over them, each with why, until what they
 * failed at is another rule or all are to be tried again.
 */
import { isNaruError, NaruError } from '../base/errors.ts'
import { say, sayOf, type Text } from '../base/text.ts'
import type { EngineEvent } from '../engines/contract.ts'
import type { EngineId, Rule } from '../model/rule.ts'
import type { HopState } from './hop-state.ts'
import { isEngineFailure } from './hops/relay.ts'
import type { RuleHops } from './rule-hops.ts'

export interface EngineFailuresOptions {
  readonly hops: RuleHops
  /** The rule as it is carried now. */
  readonly rule: () => Rule
  readonly tell: (level: 'info' | 'warn' | 'error', text: Text) => void
}

/** An engine that carries a rule no more. */
export interface GivenUp {
  readonly relay: HopState
  /** It would go on past somebody's firewall, or unheard, while what is wanted is found out anew. */
  readonly mustGo: boolean
}

export class EngineFailures {
  readonly #options: EngineFailuresOptions
  readonly #passedOver = new Map<EngineId, Text>()

  constructor(options: EngineFailuresOptions) {
    this.#options = options
  }

  /** Why `auto` takes each no more. */
  get passedOver(): ReadonlyMap<EngineId, Text> {
    return this.#passedOver
  }

  clear(): void {
    this.#passedOver.clear()
  }

  /** What an engine failed at it may not fail at where that is another. */
  clearUnlessSame(before: Rule, after: Rule): void {
    if (carrierKeyOf(before) !== carrierKeyOf(after)) this.clear()
  }

  /** @returns what the rule is to be brought to its wish for anew; null where the event says nothing of the kind */
  seen(event: EngineEvent): GivenUp | null {
    if (event.type !== 'state') return null
    const { state } = event
    if (state.state !== 'failed' && state.state !== 'unfit' && state.state !== 'adrift') return null
    const { hops, rule, tell } = this.#options
    const relay = hops.held.get('relay')
    const id = relay?.wanted.member as EngineId | undefined
    if (!relay || !id) return null
    // It is told again and again until it is taken away.
    if (state.state === 'unfit' && relay.lost && isNaruError(relay.lost, 'ENGINE_UNFIT')) return null
    if (state.state === 'adrift') tell('info', state.why)
    else {
      relay.lost =
        state.state === 'unfit'
          ? new NaruError('ENGINE_UNFIT', { engine: id, name: rule().name, why: state.why })
          : new NaruError('ENGINE_FAILED', { engine: id, why: state.why })
      this.#passOver(id, relay.lost)
    }
    return { relay, mustGo: state.state !== 'failed' }
  }

  /** @returns whether another may be tried: that one fails where its listen would not, or turned out to be unfit */
  passesOver(error: NaruError): boolean {
    const { failures } = this.#options.hops
    const relay = failures.get('relay')
    const id = relay?.wanted.member as EngineId | null | undefined
    if (!relay || !id || relay.why !== error || this.#options.rule().engine !== 'auto') return false
    if (!isEngineFailure(error)) return false
    this.#passOver(id, error)
    failures.delete('relay')
    return true
  }

  /** Said once. */
  #passOver(id: EngineId, error: NaruError): void {
    const { rule, tell } = this.#options
    if (rule().engine !== 'auto') return tell('error', error.text)
    const unfit = isNaruError(error, 'ENGINE_UNFIT')
    const why = unfit ? (error.params.why as Text) : error.text
    this.#passedOver.set(id, why)
    const what = unfit ? say('cannot carry it') : sayOf('and therefore')('failed')
    tell(unfit ? 'info' : 'warn', say`engine ${id} ${what}, taking another: ${why}`)
  }
}

function carrierKeyOf({ engine, listen, targets }: Rule): string {
  return JSON.stringify([engine, listen, targets])
}
