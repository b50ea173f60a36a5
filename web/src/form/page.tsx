import { useWords } from '../words/index.ts'

export function RuleFormPage({ name }: { readonly name: string | null }) {
  const { words } = useWords()
  return <h1>{name === null ? words.form.add : words.form.edit(name)}</h1>
}
