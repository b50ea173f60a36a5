// node-pipe.mjs PORT TARGET_PORT: what one writes in ten lines of Node.
import { connect, createServer } from 'node:net'

const [port, targetPort] = process.argv.slice(2).map(Number)
const server = createServer({ allowHalfOpen: true }, (client) => {
  const target = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true })
  client.pipe(target).pipe(client)
  client.on('error', () => target.destroy())
  target.on('error', () => client.destroy())
})
server.listen({ port, host: '127.0.0.1', backlog: 1024 }, () => process.stdout.write('ready\n'))
