// The kernel engine between a client and a target of their own networks, against plain routing by the same machine:
// with one rule and with ten thousand. What conntrack alone costs is shown too: every host with a firewall or
// containers pays it already. Three network namespaces are made for it and removed.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { evenNetwork, root, run, sleep, start, stop } from '../processes.mjs'

export { missingForNetworks as missing } from '../processes.mjs'

const manyRules = 10_000
const firstPort = 20_000
const sinkPort = 5201
const settleSeconds = 4

export const title = 'kernel engine in three namespaces: against plain routing, with 1 rule and with 10,000'
export const metrics = {
  tcp: { label: 'TCP Gbit/s', better: 'more' },
  udp: { label: 'UDP datagrams/s', better: 'more' },
  startMs: { label: 'start, ms', better: 'less' },
  changeMs: { label: 'change one, ms', better: 'less' },
}
export const targets = [
  { metric: 'tcp', ours: '1 rule', peer: 'routing', atLeast: 0.97 },
  { metric: 'udp', ours: '1 rule', peer: 'routing', atLeast: 0.97 },
  { metric: 'tcp', ours: '10,000 rules', peer: '1 rule', atLeast: 0.97 },
  { metric: 'udp', ours: '10,000 rules', peer: '1 rule', atLeast: 0.97 },
  { metric: 'startMs', ours: '10,000 rules', peer: null, atMost: 2000 },
  { metric: 'changeMs', ours: '10,000 rules', peer: null, atMost: 50 },
]

export async function prepare({ seconds }) {
  const names = makeNetwork()
  await start(inside(names.target, ['iperf3', '-s', '-p', String(sinkPort)]), { ready: null })
  await sleep(300)
  const ruled = (count) => async () => {
    const began = performance.now()
    const engine = await start(inside(names.host, engineArgv(count)))
    const startMs = Number(/ready ([\d.]+)/.exec(engine.output())[1])
    try {
      const changeMs = await changes(engine)
      const wire = await measure(names, '10.1.0.1', firstPort + count - 1, seconds)
      return { ...wire, startMs, changeMs, processMs: performance.now() - began }
    } finally {
      await stop(engine)
    }
  }
  return {
    peers: {
      routing: () => withRouting(names, '', () => measure(names, '10.2.0.2', sinkPort, seconds)),
      'routing, conntrack': () =>
        withRouting(names, conntrackAlone, () => measure(names, '10.2.0.2', sinkPort, seconds)),
      '1 rule': ruled(1),
      '10,000 rules': ruled(manyRules),
    },
    end: () => removeNetwork(names),
  }
}

const inside = (name, argv) => ['ip', 'netns', 'exec', name, ...argv]

function engineArgv(count) {
  const script = join(root, 'bench/peers/naru.mjs')
  return [
    process.execPath,
    script,
    'kernel',
    `0.0.0.0:${firstPort}/tcp+udp`,
    `10.2.0.2:${sinkPort}`,
    String(count),
  ]
}

/** The median of seven; an even number of them would leave the rule with another target. */
async function changes(engine) {
  engine.child.stdin.write('8\n')
  for (let waited = 0; waited < 30_000; waited += 20) {
    const [, times] = /changed (\[.*\])/.exec(engine.output()) ?? []
    if (times) return JSON.parse(times).sort((a, b) => a - b)[4]
    await sleep(20)
  }
  throw new Error('the change was not done')
}

async function measure({ client, target }, address, port, seconds) {
  const iperf = async (...more) => {
    const argv = ['iperf3', '-c', address, '-p', String(port), '-J', ...more]
    // Once a flow is known to be busy; the seconds before are left out alike for all.
    argv.push('-O', String(settleSeconds), '-t', String(seconds))
    return JSON.parse(await run(inside(client, argv))).end
  }
  const tcp = await iperf()
  // Datagrams as fast as the sender can: what arrives in a second is what the path carries, whether or not iperf3, whose
  // one thread takes less, had room for it.
  const [udp, arrived] = await Promise.all([iperf('-u', '-b', '0', '-l', '1200'), arrivals(target, seconds)])
  return {
    tcp: tcp.sum_received.bits_per_second / 1e9,
    udp: arrived,
    udpTaken: (udp.sum.packets - udp.sum.lost_packets) / udp.sum.seconds,
  }
}

/** Datagrams a second that come to the target's UDP (snmp: taken by a socket, or one that was full) once all has settled. */
async function arrivals(target, seconds) {
  // What begins the stream takes a moment too.
  await sleep((settleSeconds + 0.3) * 1000)
  const before = await countArrived(target)
  await sleep((seconds - 0.5) * 1000)
  const after = await countArrived(target)
  return ((after.datagrams - before.datagrams) * 1000) / (after.at - before.at)
}

async function countArrived(target) {
  const text = await run(inside(target, ['cat', '/proc/net/snmp']))
  const [names, values] = text
    .split('\n')
    .filter((line) => line.startsWith('Udp: '))
    .map((line) => line.split(' '))
  const of = (name) => Number(values[names.indexOf(name)])
  return { at: performance.now(), datagrams: of('InDatagrams') + of('RcvbufErrors') }
}

/** A chain that asks for the state of one connection makes the kernel track them all. */
const conntrackAlone =
  'table inet tracked { chain one { type filter hook forward priority 0; tcp dport 9 ct state new; }; }'

async function withRouting({ host }, table, work) {
  const forward = (value) => run(inside(host, ['sysctl', '-qw', `net.ipv4.ip_forward=${value}`]))
  await forward(1)
  if (table) await run(inside(host, ['nft', table]))
  try {
    return await work()
  } finally {
    if (table) await run(inside(host, ['nft', 'delete table inet tracked']))
    await forward(0)
  }
}

function makeNetwork() {
  const names = Object.fromEntries(
    ['client', 'host', 'target'].map((name) => [name, `nb${process.pid}-${name}`]),
  )
  const ip = (...args) => execFileSync('ip', args)
  for (const name of Object.values(names)) {
    ip('netns', 'add', name)
    evenNetwork(inside(name, []))
  }
  cable(names.client, '10.1.0.2/24', names.host, '10.1.0.1/24', 'c')
  cable(names.target, '10.2.0.2/24', names.host, '10.2.0.1/24', 't')
  ip('-n', names.client, 'route', 'add', 'default', 'via', '10.1.0.1')
  ip('-n', names.target, 'route', 'add', 'default', 'via', '10.2.0.1')
  return names

  function cable(one, oneAddress, other, otherAddress, letter) {
    ip(
      'link',
      'add',
      `n${letter}0`,
      'netns',
      one,
      'type',
      'veth',
      'peer',
      'name',
      `n${letter}1`,
      'netns',
      other,
    )
    ip('-n', one, 'address', 'add', oneAddress, 'dev', `n${letter}0`)
    ip('-n', other, 'address', 'add', otherAddress, 'dev', `n${letter}1`)
    ip('-n', one, 'link', 'set', `n${letter}0`, 'up')
    ip('-n', other, 'link', 'set', `n${letter}1`, 'up')
  }
}

function removeNetwork(names) {
  for (const name of Object.values(names)) execFileSync('ip', ['netns', 'delete', name])
}
