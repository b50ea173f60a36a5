// hold.mjs ADDRESS PORT COUNT: opens so many connections, says `ready`, and holds them until its standard input ends.
import { connect } from 'node:net'

const [address, port, count] = process.argv.slice(2)
const sockets = []
for (let begun = 0; begun < Number(count); begun += 100) {
  await Promise.all(
    Array.from({ length: Math.min(100, Number(count) - begun) }, () => {
      const socket = connect({ host: address, port: Number(port) })
      sockets.push(socket)
      return new Promise((resolve, reject) => {
        // A byte back proves that the target is connected too.
        socket.once('data', resolve)
        socket.once('error', reject)
      })
    }),
  )
}
process.stdout.write('ready\n')
process.stdin.resume()
process.stdin.once('end', () => process.exit(0))
