/**
 * A program's configuration and what `naru import` makes of it, run one after the other on one host of the lab, with the
 * same clients. Each client asks from an address of its own, some behind a PROXY header; the answer is which target was
 * reached and as whom, or nothing where the client was turned away.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { importRules } from '../../src/formats/index.ts'
import type { Imported, ImportFormat } from '../../src/model/import-export.ts'
import type { RuleInput } from '../../src/model/naru-api.ts'
import { end, Lab } from './namespaces.ts'

export interface Question {
  readonly port: number
  /** @default `10.80.0.1`, the host's address on the clients' side */
  readonly to?: string
  readonly from: string
  /** Whom a PROXY header before the first byte names. @default no header */
  readonly claims?: string
  readonly udp?: boolean
}

/** `PORT of ADDRESS for CLIENT, told CLIENT`; empty where nobody answered. */
export type Answer = string

/** Answers a line with where it was asked and by whom, as the socket and as a PROXY header have it. */
const service = `
const reply = (port, { localAddress, remoteAddress }, text) => {
  const told = /^PROXY TCP\\d (\\S+)/.exec(text)
  return [port, 'of', localAddress, 'for', remoteAddress, ...(told ? ['told', told[1]] : [])].join(' ').replaceAll('::ffff:', '')
}
for (const port of [80, 81, 82]) {
  require('node:net').createServer((socket) => {
    let text = ''
    socket.on('error', () => {}).on('data', (data) => {
      text += data
      if (text.endsWith('hi\\n')) socket.end(reply(port, socket, text))
    })
  }).listen(port, '::')
  const udp = require('node:dgram').createSocket('udp6').bind(port, '::')
  udp.on('message', (_, { port: back, address }) => udp.send(reply(port, { localAddress: 'udp', remoteAddress: address }, ''), back, address))
}
console.log('ready')`

/** Questions as JSON in, answers as JSON out, all at once. */
const asker = `
const one = ({ port, to = '10.80.0.1', from, claims, udp }) => new Promise((done) => {
  let text = ''
  const limit = setTimeout(() => over(), 1500)
  let over = () => done('')
  if (udp) {
    const socket = require('node:dgram').createSocket('udp4').on('error', () => {})
    over = () => { clearTimeout(limit); socket.close(); done(text) }
    socket.on('message', (data) => { text = String(data); over() })
    socket.bind(0, from, () => socket.send('hi\\n', port, to))
    return
  }
  const socket = require('node:net').connect({ port, host: to, localAddress: from })
  over = () => { clearTimeout(limit); socket.destroy(); done(text) }
  socket.on('error', () => {}).on('data', (data) => (text += data)).on('close', over)
  socket.write((claims ? 'PROXY TCP4 ' + claims + ' ' + to + ' 1111 ' + port + '\\r\\n' : '') + 'hi\\n')
})
Promise.all(JSON.parse(process.argv[1]).map(one)).then((answers) => console.log(JSON.stringify(answers)))`

export const clients = ['10.80.0.2', '10.80.0.66', '10.80.1.5'] as const

export class ImportsLab implements AsyncDisposable {
  readonly #lab = new Lab()
  readonly client = this.#lab.host('client')
  readonly middle = this.#lab.host('middle')
  readonly server = this.#lab.host('server')
  readonly folder = mkdtempSync(join(tmpdir(), 'naru-imports-'))
  #runs = 0

  constructor() {
    this.#lab.cable(
      {
        host: this.client,
        interface: 'eth0',
        addresses: [...clients.map((address) => `${address}/16`), 'fd80::2/64'],
      },
      { host: this.middle, interface: 'lan', addresses: ['10.80.0.1/16', 'fd80::1/64'] },
    )
    this.#lab.cable(
      { host: this.middle, interface: 'dmz', addresses: ['10.81.0.1/24', 'fd81::1/64'] },
      { host: this.server, interface: 'eth0', addresses: ['10.81.0.2/24', '10.81.0.3/24', 'fd81::2/64'] },
    )
    this.client.ip('route', 'add', 'default', 'via', '10.80.0.1')
    this.server.ip('route', 'add', 'default', 'via', '10.81.0.1')
    this.middle.sysctl('net/ipv4/ip_forward', '1')
  }

  async serve(): Promise<void> {
    await said(this.server.start([process.execPath, '-e', service]), 'ready')
  }

  file(name: string, text: string): string {
    const path = join(this.folder, name)
    writeFileSync(path, text)
    return path
  }

  ask(questions: readonly Question[]): Answer[] {
    return JSON.parse(this.client.run([process.execPath, '-e', asker, JSON.stringify(questions)])) as Answer[]
  }

  /** What the program answers that reads `text` itself. */
  async asked(start: () => ChildProcess | null, questions: readonly Question[]): Promise<Answer[]> {
    const child = start()
    try {
      await this.#until(() => this.ask(questions).some((answer) => answer !== ''))
      return this.ask(questions)
    } finally {
      if (child) await end(child)
      // What a program forked outlives it, with its ports: whoever comes next would find them taken.
      for (const pid of this.middle.pids()) process.kill(pid, 'SIGKILL')
    }
  }

  /** What Naru answers with the rules that it reads from `text`. */
  async imported(
    text: string,
    from: ImportFormat,
    questions: readonly Question[],
  ): Promise<{ found: Imported; answers: Answer[] }> {
    const found = importRules(text, { from })
    const rules = Object.fromEntries(found.rules.map(({ name, rule }) => [name, rule]))
    return { found, answers: await this.served(rules, questions) }
  }

  /** What Naru answers with these rules. */
  async served(
    rules: Readonly<Record<string, RuleInput>>,
    questions: readonly Question[],
  ): Promise<Answer[]> {
    const state = join(this.folder, `state-${++this.#runs}`)
    mkdirSync(state, { mode: 0o700 })
    const config = join(state, 'naru.yaml')
    writeFileSync(config, JSON.stringify({ rules }))
    const naru = new URL('../../bin/naru.mjs', import.meta.url).pathname
    const command = [process.execPath, naru, 'up', '--config', config, '--api', 'off']
    const child = this.middle.start(command, {
      env: { ...process.env, NARU_STATE: state, LANG: 'C', NO_COLOR: '1' },
    })
    try {
      await said(child, 'undoes everything')
      return this.ask(questions)
    } finally {
      await end(child)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lab[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #until(holds: () => boolean): Promise<void> {
    const limit = performance.now() + 15_000
    while (!holds()) if (performance.now() > limit) throw new Error('nobody was answered')
  }
}

/** Waits until the child has printed `word`; what it printed is in the error where it never does. */
function said(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = ''
    const limit = setTimeout(() => reject(new Error(`it never said "${word}": ${text}`)), 20_000)
    const take = (data: Buffer): void => {
      text += String(data)
      if (!text.includes(word)) return
      clearTimeout(limit)
      resolve()
    }
    child.stdout?.on('data', take)
    child.stderr?.on('data', take)
    child.once('exit', () => reject(new Error(`it ended: ${text}`)))
  })
}
