/** A ruleset is saved while the kernel carries rules, and loaded again when nobody wants them any more. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { removeReturned, unclaimedHere } from '../../src/doctor/returned-openings.ts'
import { markOf } from '../../src/instance/state-mark.ts'
import type { Deps } from '../../src/instance/deps.ts'
import type { KernelEngine } from '../../src/engines/kernel/index.ts'
import { describeWith } from '../needs.ts'
import { echoes, hostAddress, KernelLab, targetAddress } from './kernel-lab.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack'] } as const
const target = `${targetAddress}:80`
const signal = (): AbortSignal => AbortSignal.timeout(10_000)

/** A state folder and a lab whose rules carry its mark. */
class Saved implements AsyncDisposable {
  readonly lab = new KernelLab()
  readonly root: string
  readonly told: string[] = []

  private constructor(root: string) {
    this.root = root
    this.lab.record.mark = () => markOf(root)
    this.lab.serve(this.lab.target, 80)
  }

  static async begin(): Promise<Saved> {
    return new Saved(await mkdtemp(join(tmpdir(), 'naru-saved-')))
  }

  /** What is in force, the guard of a Naru that lives too. */
  ruleset(): string {
    return this.lab.host.run(['nft', 'list', 'ruleset'])
  }

  /** Without the guard, which is its owner's: a file with that of one that lives is not loaded at all. */
  save(): string {
    return this.lab.host.run(['nft', 'list', 'table', 'inet', 'naru'])
  }

  async load(ruleset: string): Promise<void> {
    const file = join(this.root, 'saved.nft')
    await writeFile(file, ruleset)
    this.lab.host.run(['nft', '-f', file])
  }

  /** What the next start does first. */
  async nextStart(engine: KernelEngine = this.lab.engine()): Promise<void> {
    const tell = (_: unknown, { en }: { readonly en: string }): void => void this.told.push(en)
    await removeReturned(this.root, this.#parts(engine), { signal: signal(), tell })
  }

  async named(): Promise<readonly { text: string; whose: string }[]> {
    return await unclaimedHere(this.root, this.#parts(this.lab.engine()), signal())
  }

  #parts(engine: KernelEngine): Deps {
    return { host: this.lab.machine, firewalls: [], engines: [engine] } as unknown as Deps
  }

  isCarried(port: number): Promise<boolean> {
    return this.lab.dial(this.lab.client, hostAddress, port).then(
      (socket) => (socket.destroy(), true),
      () => false,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]()
    await rm(this.root, { recursive: true, force: true })
  }
}

describeWith(needs, 'a table of the kernel engine that a saved ruleset brings back', () => {
  it('is closed by the next start of the same state folder', async () => {
    await using saved = await Saved.begin()
    const { lab } = saved
    const first = lab.engine('4194303-1')
    await lab.open(first, 'web', { listen: '0.0.0.0:8888', target })
    const ruleset = saved.save()
    await first.close()
    expect(saved.ruleset()).toBe('')
    await saved.load(ruleset)
    await saved.nextStart()
    expect(saved.told).toEqual([expect.stringContaining('table inet naru: web')])
    expect(saved.ruleset()).toBe('')
    expect(lab.switches()).toEqual(lab.before)
  })

  it('is left alone, and named, where another state folder or another container made it', async () => {
    await using saved = await Saved.begin()
    const { lab } = saved
    lab.record.mark = () => Promise.resolve('00000000')
    const other = lab.engine('4194303-1')
    await lab.open(other, 'theirs', { listen: '0.0.0.0:8888', target })
    other.abandon()
    lab.record.mark = () => markOf(saved.root)
    const contained = lab.engine('4194303-2')
    await lab.open(contained, 'contained', { listen: '0.0.0.0:8889', target })
    contained.abandon()
    const ruleset = saved.save().replace(/(naru:4194303-2\.\d+)\.\d+/g, '$1.1')
    lab.host.run(['nft', 'flush', 'ruleset'])
    await saved.load(ruleset)
    await saved.nextStart()
    expect(saved.told).toEqual([])
    const named = (await saved.named()).map(({ text, whose }) => `${whose} ${text}`).sort()
    expect(named).toEqual([
      expect.stringContaining('unknown table inet naru: contained'),
      expect.stringContaining('unknown table inet naru: theirs'),
    ])
    await lab.engine().undo({ owner: '4194303-1', rule: '', was: {}, boot: null }, { signal: signal() })
  })

  it('goes as a whole where the machine was started since', async () => {
    await using saved = await Saved.begin()
    const { lab } = saved
    const before = lab.engine('4194303-1', { boot: '11111111-2222-3333-4444-555555555555' })
    await lab.open(before, 'web', { listen: '0.0.0.0:8888', target })
    const ruleset = saved.save()
    before.abandon()
    lab.host.run(['nft', 'flush', 'ruleset'])
    await saved.load(ruleset)
    await lab.open(lab.engine(), 'other', { listen: '0.0.0.0:8889', target })
    expect(await saved.isCarried(8889)).toBe(true)
    expect(await saved.isCarried(8888)).toBe(false)
    expect(saved.save()).not.toContain('11111111')
  })

  it('brings back no rule that this very process has ended', async () => {
    await using saved = await Saved.begin()
    const { lab } = saved
    const engine = lab.engine()
    const stays = await lab.open(engine, 'stays', { listen: '0.0.0.0:8888', target })
    const ended = await lab.open(engine, 'ended', { listen: '0.0.0.0:8889', target })
    const ruleset = saved.save()
    await ended.release()
    lab.host.run(['nft', 'flush', 'ruleset'])
    await saved.load(ruleset)
    await expect.poll(() => saved.save().includes(':ended"'), { timeout: 10_000 }).toBe(false)
    expect(await saved.isCarried(8888)).toBe(true)
    await stays.release()
  })

  it('and what a killed one carried goes with its rule where that listens elsewhere by now', async () => {
    await using saved = await Saved.begin()
    const { lab } = saved
    const killed = lab.engine('4194303-1')
    await lab.open(killed, 'web', { listen: '0.0.0.0:8888', target })
    killed.abandon()
    await lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8889', target })
    const socket = await lab.dial(lab.client, hostAddress, 8889)
    expect(await echoes(socket, 'here')).toBe('here')
    expect(await saved.isCarried(8888)).toBe(false)
    expect(saved.save()).not.toContain('4194303-1')
  })
})
