// greet.mjs PORT: says one byte to every connection and keeps it.
import { createServer } from 'node:net'

const server = createServer((socket) => {
  socket.on('error', () => {})
  socket.write('.')
})
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 1024 }, () =>
  process.stdout.write('ready\n'),
)
