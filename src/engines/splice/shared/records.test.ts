import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { allocateCells, cell, sumOpen } from './records.ts'

it('no look finds less open than there is, whatever begins and ends meanwhile', async () => {
  const memory = allocateCells(1)
  // One connection is open all the while, and another one begins and ends again and again.
  const busy = `const { parentPort, workerData } = require('node:worker_threads')
    const cells = new Float64Array(workerData.memory)
    cells[${cell.opened}] = 1
    parentPort.postMessage('busy')
    for (let time = 0; time < 3e6; time++) { cells[${cell.opened}]++; cells[${cell.ended}]++ }`
  const worker = new Worker(busy, { eval: true, workerData: { memory } })
  await once(worker, 'message')
  let fewest = Infinity
  for (let look = 0; look < 200_000; look++) fewest = Math.min(fewest, sumOpen(memory))
  expect(fewest).toBe(1)
  await worker.terminate()
})
