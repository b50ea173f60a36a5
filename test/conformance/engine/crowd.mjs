// A crowd of clients in a process of its own, so that their descriptors are not the engine's.
// Told by IPC: { open: n, port, host } · { count: true } · { ask: port } · { leave: true }; answers each with a number.
import { connect } from 'node:net'

const clients = new Set()
/** Also those that nobody has let in yet. */
const all = new Set()

function come(port, host) {
  return new Promise((resolve) => {
    const socket = connect({ port, host })
    all.add(socket)
    socket.once('connect', () => socket.write('.'))
    socket.once('data', () => {
      clients.add(socket)
      resolve(1)
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      clients.delete(socket)
      all.delete(socket)
      resolve(0)
    })
    setTimeout(() => resolve(0), 3000).unref()
  })
}

async function answer({ open, port, host, leave }) {
  if (open) {
    const came = await Promise.all(Array.from({ length: open }, () => come(port, host)))
    return came.reduce((sum, one) => sum + one, 0)
  }
  if (leave) for (const socket of all) socket.destroy()
  return clients.size
}

process.on('message', (message) => void answer(message).then((number) => process.send(number)))
process.on('disconnect', () => process.exit())
