// listen.mjs COUNT: so many TCP sockets that listen on loopback; says `ready`, and holds them until its standard input ends.
import { once } from 'node:events'
import { createServer } from 'node:net'

for (let made = 0; made < Number(process.argv[2]); made++)
  await once(createServer().listen(0, '127.0.0.1'), 'listening')
process.stdout.write('ready\n')
process.stdin.resume()
process.stdin.once('end', () => process.exit(0))
