// A forwarder inside your own program: opens a port, carries one request, tells what happened, undoes everything.
// Run it: node examples/library.mjs
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createForwarder } from 'naru'

const service = createServer((request, response) => response.end(`you asked for ${request.url}\n`))
await once(service.listen(0, '127.0.0.1'), 'listening')
const address = service.address()
const target = typeof address === 'object' ? (address?.port ?? 0) : 0

const naru = await createForwarder({
  rules: { web: { listen: '127.0.0.1:8899', target, allow: ['127.0.0.0/8'] } },
})

const answer = await fetch('http://127.0.0.1:8899/hello', { headers: { connection: 'close' } })
console.log((await answer.text()).trim())

const web = await naru.rules.get('web')
console.log(`${web.listen} is ${web.state}, carried by ${web.engine?.id}`)

await naru.stop()
service.close()
console.log('closed without a trace')
