import { useWords } from '../words/index.ts'

export default function MachinePage(_where: { about?: string | null; tab?: string }) {
  const { words } = useWords()
  return <h1>{words.nav.machine}</h1>
}
