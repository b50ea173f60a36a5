/** Import and export: another program's forwards as rules here, and rules as its file. */
import { Export } from '../exchange/export.tsx'
import { Import } from '../exchange/import.tsx'
import { Icon } from '../parts/icon.tsx'
import { naru } from '../state/naru.ts'
import { linkToList } from '../state/place.ts'
import { useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'

export default function ExchangePage() {
  const { words } = useWords()
  const access = useWatched(naru.access)
  return (
    <>
      <a className="back" href={linkToList()}>
        <Icon name="back" size={14} /> {words.rule.back}
      </a>
      <h1>{words.exchange.title}</h1>
      <p className="quiet lead">{words.exchange.lead}</p>
      {access === 'full' && <Import />}
      <Export />
    </>
  )
}
