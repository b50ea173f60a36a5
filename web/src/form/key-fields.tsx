/** The rows of the table of keys that stand in one place of the form: words to choose from, lines, or one to write in. */
import { useWords } from '../words/index.ts'
import { Field } from './fields.tsx'
import { fieldsAt } from './keys.ts'
import { useProblem, type SectionProps } from './section.ts'

interface KeyFieldsProps extends SectionProps {
  readonly place: Parameters<typeof fieldsAt>[0]
}

export function KeyFields({ draft, problems, change, place }: KeyFieldsProps) {
  const { say } = useWords()
  const problem = useProblem(problems)
  return fieldsAt(place).map(({ field, form, choices, isList }) => {
    const value = draft[field]
    const write = (event: { readonly target: { readonly value: string } }): void =>
      change({ [field]: event.target.value })
    const word = (choice: string): string => {
      const called = form.choices?.[choice]
      return called ? say(called) : choice
    }
    return (
      <Field key={field} label={say(form.label)} hint={form.hint && say(form.hint)} problem={problem(field)}>
        {(described) =>
          choices ? (
            <select {...described} value={value} onChange={write}>
              {choices.map((choice) => (
                <option key={choice} value={choice}>
                  {word(choice)}
                </option>
              ))}
            </select>
          ) : isList ? (
            <textarea {...described} rows={3} value={value} onChange={write} />
          ) : (
            <input {...described} value={value} onChange={write} />
          )
        }
      </Field>
    )
  })
}
