// An echo server in a process of its own. Told { serve: true } by IPC, it answers with its port.
import { createServer } from 'node:net'

process.on('message', () => {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket))
  server.listen(0, '127.0.0.1', () => process.send(server.address().port))
})
process.on('disconnect', () => process.exit())
