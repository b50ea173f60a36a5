import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseDocument } from 'yaml'
import { describeWith } from '../../../test/needs.ts'
import { createFile, createFileStore } from './index.ts'

let folder: string
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'naru-store-'))))
afterAll(() => rm(folder, { recursive: true }))

const signal = AbortSignal.timeout(60_000)
const at = async (name: string, text: string | Uint8Array): Promise<string> => {
  await writeFile(join(folder, name), text)
  return join(folder, name)
}

describe('the file as a store', () => {
  it('refuses a change that was made looking at another revision', async () => {
    const store = createFileStore(await at('revision.yaml', 'rules:\n  a: { listen: 1, target: 2 }\n'))
    const { revision } = await store.read({ signal })
    await store.change([{ name: 'b', rule: { listen: 3, target: 4 } }], { signal, revision })
    await expect(store.change([{ name: 'c', rule: null }], { signal, revision })).rejects.toMatchObject({
      code: 'FILE_CHANGED',
    })
    expect([...(await store.read({ signal })).rules.keys()]).toEqual(['a', 'b'])
  })

  it('brings a removed rule back with its comments and in its place, unless something else changed', async () => {
    const text = 'rules:\n  # mine\n  a:\n    listen: 1 # one\n    target: 2\n  b: { listen: 3, target: 4 }\n'
    const path = await at('undo.yaml', text)
    const store = createFileStore(path)
    const rule = (await store.read({ signal })).rules.get('a') ?? {}
    await store.change([{ name: 'a', rule: null }], { signal })
    expect(await readFile(path, 'utf8')).not.toContain('mine')
    await store.change([{ name: 'a', rule }], { signal })
    expect(await readFile(path, 'utf8')).toBe(text)

    await store.change([{ name: 'a', rule: null }], { signal })
    await store.change([{ name: 'c', rule: { listen: 5, target: 6 } }], { signal })
    await store.change([{ name: 'a', rule }], { signal })
    expect([...(await store.read({ signal })).rules.keys()]).toEqual(['b', 'c', 'a'])
  })

  it('gives a rule another name where it stands, with its comments and nothing else changed', async () => {
    const text =
      'rules:\n  # mine\n  a: # first\n    listen: 1\n    target: 2\n  b: { listen: 3, target: 4 }\n'
    const path = await at('rename.yaml', text)
    const store = createFileStore(path)
    const rule = (await store.read({ signal })).rules.get('a') ?? {}
    await store.change([{ name: '1e3', rule, was: 'a' }], { signal })
    expect(await readFile(path, 'utf8')).toBe(text.replace('a:', '"1e3":'))
    const { rules } = await store.change([{ name: 'c', rule, was: '1e3' }], { signal })
    expect([...rules.keys()]).toEqual(['c', 'b'])
    expect(await readFile(path, 'utf8')).toBe(text.replace('a:', 'c:'))
  })

  it('writes through a link and keeps the file’s mode', async () => {
    const path = await at('real.yaml', 'rules: {}\n')
    await promisify(execFile)('chmod', ['640', path])
    await symlink(path, join(folder, 'link.yaml'))
    await createFileStore(join(folder, 'link.yaml')).change([{ name: 'a', rule: { listen: 1, target: 2 } }], {
      signal,
    })
    expect(await readFile(path, 'utf8')).toContain('a:')
    const { stdout } = await promisify(execFile)('stat', ['-c', '%a', path])
    expect(stdout.trim()).toBe('640')
  })

  it('names what cannot be read: missing, a folder, a FIFO, binary, 50 MB', async () => {
    await mkdir(join(folder, 'folder.yaml'))
    const why = (path: string): Promise<string> =>
      createFileStore(path)
        .read({ signal })
        .then(
          () => 'read',
          (error: Error) => error.message,
        )
    expect(await why(join(folder, 'none.yaml'))).toContain('there is no file')
    if (process.platform !== 'win32') {
      await promisify(execFile)('mkfifo', [join(folder, 'fifo.yaml')])
      expect(await why(join(folder, 'fifo.yaml'))).toContain('it is no file but a pipe')
    }
    expect(await why(join(folder, 'folder.yaml'))).toContain('it is a folder')
    expect(await why(await at('binary.yaml', new Uint8Array([0xff, 0, 1])))).toContain('not text')
    expect(await why(await at('big.yaml', new Uint8Array(50_000_000).fill(35)))).toContain('50000000 bytes')
  })

  it('tells of somebody else’s change, and not of its own', async () => {
    const path = await at('watched.yaml', 'rules: {}\n')
    const store = createFileStore(path)
    await store.read({ signal })
    const stop = new AbortController()
    let calls = 0
    const changed = new Promise<void>((resolve) =>
      store.watch({ signal: stop.signal, onChange: () => (calls++, resolve()) }),
    )
    await store.change([{ name: 'a', rule: { listen: 1, target: 2 } }], { signal })
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(calls).toBe(0)
    await writeFile(path, 'rules: {}\n# mine\n')
    await changed
    stop.abort()
  })

  it('does not take a file that is being written for one that lost its rules', async () => {
    const whole = 'rules:\n  a: { listen: 1, target: 2 }\n  b: { listen: 3, target: 4 }\n'
    const path = await at('slow.yaml', whole)
    const store = createFileStore(path)
    await store.read({ signal })
    const stop = new AbortController()
    const heard: string[] = []
    store.watch({
      signal: stop.signal,
      onChange: () => void readFile(path, 'utf8').then((text) => heard.push(text)),
    })
    for (const part of ['', whole.slice(0, 37), whole]) {
      await writeFile(path, part)
      await new Promise((resolve) => setTimeout(resolve, 400))
    }
    expect(heard).toEqual([])
    await writeFile(path, 'rules: {}\n')
    await expect.poll(() => heard, { timeout: 5000 }).toEqual(['rules: {}\n'])
    stop.abort()
  })

  it('is not emptied: a file without a sign in it changes nothing', async () => {
    const path = await at('full-disk.yaml', 'rules:\n  a: { listen: 1, target: 2 }\n')
    const store = createFileStore(path)
    await store.read({ signal })
    await writeFile(path, '\n')
    await expect(store.read({ signal })).rejects.toThrow('to close all rules write `rules: {}`')
    await expect(store.change([{ name: 'b', rule: null }], { signal })).rejects.toThrow('is empty')
    await writeFile(path, 'rules: {}\n')
    expect((await store.read({ signal })).rules.size).toBe(0)
  })

  it('takes no file that was cut short for a wish, until a person says that it is one', async () => {
    const whole =
      'rules:\n  a:\n    listen: 1\n    target: 2\n  b:\n    listen: 3\n    target: 4\n    allow: [10.0.0.0/8]\n'
    const path = await at('cut.yaml', whole)
    const names = async (meant = false): Promise<string[]> => [
      ...(await createdStore.read({ signal, meant })).rules.keys(),
    ]
    const createdStore = createFileStore(path)
    await names()
    const afterTarget = whole.slice(0, whole.indexOf('    allow'))
    // Also where somebody wrote another beginning.
    const other = `# mine\n${afterTarget.replace('listen: 1', 'listen: 7').trimEnd()}`
    for (const cut of [afterTarget, whole.slice(0, whole.indexOf('    target: 4')), other]) {
      await writeFile(path, cut)
      if (cut.includes('4')) await expect(names()).rejects.toThrow('in the midst of a rule')
      else await expect(names()).rejects.toMatchObject({ code: 'FILE_INVALID' })
    }
    await writeFile(path, afterTarget)
    await expect(createdStore.change([{ name: 'c', rule: null }], { signal })).rejects.toThrow('in the midst')
    // A rule that is gone opens nothing.
    await writeFile(path, whole.slice(0, whole.indexOf('  b:')))
    expect(await names()).toEqual(['a'])
    await writeFile(path, whole)
    expect(await names()).toEqual(['a', 'b'])
    await writeFile(path, afterTarget)
    expect(await names(true)).toEqual(['a', 'b'])
    expect(await names()).toEqual(['a', 'b'])
  })

  it('begins with the first rule where there is no file yet', async () => {
    const path = join(folder, 'new/naru.yaml')
    await createFileStore(path).change([{ name: 'a', rule: { listen: 1, target: 2 } }], { signal })
    expect(await readFile(path, 'utf8')).toBe('rules:\n  a:\n    listen: 1\n    target: 2\n')
  })

  it('makes a starter once', async () => {
    const path = join(folder, 'deep/er/naru.yaml')
    expect(await createFile(path, 'rules: {}\n')).toBe(true)
    expect(await createFile(path, 'other')).toBe(false)
    expect(await readFile(path, 'utf8')).toBe('rules: {}\n')
  })

  it('is whole after kill -9 at any moment', async () => {
    const path = await at('killed.yaml', 'rules:\n  keep: { listen: 1, target: 2 } # mine\n')
    const writer = await at(
      'writer.mjs',
      `import { replaceFile } from ${JSON.stringify(new URL('../../../dist/base/replace-file.js', import.meta.url).href)}
       import { readFileSync } from 'node:fs'
       const path = process.argv[2]
       for (let n = 0; ; n++) await replaceFile(path, readFileSync(path, 'utf8').split('\\n').slice(0, 2).join('\\n') + '\\n' + '# '.padEnd(50000, String(n)) + '\\n')`,
    )
    for (let round = 0; round < 15; round++) {
      const child = fork(writer, [path], { stdio: 'ignore' })
      await new Promise((resolve) => setTimeout(resolve, 120 + Math.random() * 150))
      child.kill('SIGKILL')
      await once(child, 'exit')
      const text = await readFile(path, 'utf8')
      expect(text.endsWith('\n')).toBe(true)
      expect(parseDocument(text).toJS()).toEqual({ rules: { keep: { listen: 1, target: 2 } } })
    }
    await createFile(path, '')
    expect((await readdir(folder)).filter((name) => name.startsWith('.killed.yaml'))).toEqual([])
  })
})

describeWith({ root: true, platform: 'linux' }, 'as root, a file', () => {
  const someone = 65_533
  const text = 'rules:\n  a: { listen: 1, target: 2 }\n'
  const theirs = async (name: string): Promise<string> => {
    await mkdir(join(folder, name))
    const path = await at(join(name, 'naru.yaml'), text)
    await chown(join(folder, name), someone, someone)
    return path
  }

  it('that another user may write is neither read nor changed, and what mends it is told', async () => {
    const path = await at('group.yaml', text)
    const store = createFileStore(path)
    await store.read({ signal })
    await chmod(path, 0o664)
    const refused = {
      code: 'UNTRUSTED_PATH',
      fix: { en: expect.stringContaining(`chmod go-w ${path}`) as string },
    }
    await expect(store.read({ signal })).rejects.toMatchObject(refused)
    await expect(store.change([{ name: 'a', rule: null }], { signal })).rejects.toMatchObject(refused)
    expect(await readFile(path, 'utf8')).toBe(text)
  })

  it('in another user’s folder is not used, nor made there', async () => {
    const path = await theirs('home')
    const fix = { en: expect.stringContaining(`install -D -m 644 ${path} /etc/naru/naru.yaml`) as string }
    await expect(createFileStore(path).read({ signal })).rejects.toMatchObject({ fix })
    await expect(createFile(join(folder, 'home', 'new.yaml'), text)).rejects.toMatchObject({ fix: {} })
    expect(await readdir(join(folder, 'home'))).toEqual(['naru.yaml'])
  })

  it('is used all the same where NARU_TRUST_FILE says so', async () => {
    const path = await theirs('trusted')
    process.env.NARU_TRUST_FILE = '1'
    try {
      expect([...(await createFileStore(path).read({ signal })).rules.keys()]).toEqual(['a'])
    } finally {
      delete process.env.NARU_TRUST_FILE
    }
  })
})
