/** Is this a phone's width? The same border as in style.css. */
import { useSyncExternalStore } from 'react'

const query = window.matchMedia('(max-width: 760px)')

export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => query.matches)
}

function subscribe(listener: () => void): () => void {
  query.addEventListener('change', listener)
  return () => query.removeEventListener('change', listener)
}
