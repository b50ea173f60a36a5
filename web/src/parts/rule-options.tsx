/** The names of rules in a list to choose from: drawn anew when a name comes or goes, not with every byte that flows. */
import { memo } from 'react'
import type { RuleStatus } from '../../../src/model/naru-api.ts'

export function RuleOptions({ rules }: { readonly rules: readonly Pick<RuleStatus, 'name'>[] }) {
  return <Options names={rules.map(({ name }) => name).join('\n')} />
}

const Options = memo(function Options({ names }: { readonly names: string }) {
  return names
    .split('\n')
    .filter(Boolean)
    .map((name) => <option key={name}>{name}</option>)
})
