// knocker.mjs: a client that stands in a host of the lab and knocks wherever it is told, many times at once.
// Reads lines {id, protocol, address, port, from, waitMs}; answers {id, result}: "in" where an answer came back,
// "refused" where an error did, "silent" where nothing.
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  const knock = asked.protocol === 'tcp' ? knockTcp : knockUdp
  void knock(asked).then((result) => process.stdout.write(`${JSON.stringify({ id: asked.id, result })}\n`))
}

function knockTcp({ address, port, from, waitMs }) {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, localAddress: from })
    const end = (result) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    const timer = setTimeout(() => end('silent'), waitMs)
    socket.once('data', () => end('in'))
    socket.once('end', () => end('refused'))
    socket.on('error', () => end('refused'))
  })
}

function knockUdp({ address, port, from, waitMs }) {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    const end = (result) => {
      clearTimeout(timer)
      socket.close()
      resolve(result)
    }
    const timer = setTimeout(() => end('silent'), waitMs)
    socket.once('message', () => end('in'))
    socket.once('error', () => end('refused'))
    // Connected, as relays are: it hears of refusals, and its own address has a say in the route.
    socket.bind({ port: 0, address: from }, () =>
      socket.connect(port, address, (error) => (error ? end('refused') : socket.send('ferry'))),
    )
  })
}
