/** Connections, open and lately closed, asked again while the page is in sight. */
import { useCallback, useEffect, useState } from 'react'
import type { Connection } from '../../../src/model/connection.ts'
import { pageClock } from '../state/clock.ts'
import { client } from '../state/naru.ts'

const most = 20_000
const restMs = 1500
/** A list that takes long to make is asked for seldom. */
const restFactor = 8

export function useConnections(): {
  readonly connections: readonly Connection[] | null
  readonly cut: (id: string) => Promise<void>
} {
  const [connections, setConnections] = useState<readonly Connection[] | null>(null)
  useEffect(() => {
    const stop = new AbortController()
    void follow(stop.signal, setConnections)
    return () => stop.abort()
  }, [])
  const cut = useCallback(async (id: string) => {
    await client.cut(id)
    setConnections(await client.connections({ limit: most }))
  }, [])
  return { connections, cut }
}

async function follow(signal: AbortSignal, take: (found: readonly Connection[]) => void): Promise<void> {
  while (!signal.aborted) {
    const began = performance.now()
    if (document.visibilityState === 'visible') {
      const found = await client.connections({ limit: most }).catch(() => null)
      if (found && !signal.aborted) take(found)
    }
    const rest = Math.max(restMs, (performance.now() - began) * restFactor)
    await pageClock.sleep(rest, signal).catch(() => {})
  }
}
