// plain-listener.mjs PORT ADDRESS…: a program as anybody writes one. It answers on TCP and UDP, by a socket for each address,
// so that a datagram is answered from the address that it came to.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

const [port, ...addresses] = process.argv.slice(2)
for (const address of addresses) {
  const datagrams = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  datagrams.on('message', (message, from) => datagrams.send(message, from.port, from.address))
  const connections = createServer((socket) => socket.on('error', () => {}).end('ferry\n'))
  await once(datagrams.bind(Number(port), address), 'listening')
  await once(connections.listen(Number(port), address), 'listening')
}
process.stdout.write('ready\n')
