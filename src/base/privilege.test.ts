import { describe, expect, it } from 'vitest'
import { asRoot, asService, startingWords, withRight, type Started } from './privilege.ts'

const started = (words: string[], more: Partial<Started> = {}): Started => ({
  platform: 'linux',
  execPath: '/home/min/.nvm/bin/node',
  execArgv: [],
  argv: ['/home/min/.nvm/bin/node', '/opt/na ru/dist/main.js', ...words],
  env: {},
  ...more,
})

const setpriv =
  'setpriv --reuid "$(id -u)" --regid "$(id -g)" --init-groups --inh-caps +net_bind_service --ambient-caps +net_bind_service'
const naru = `/home/min/.nvm/bin/node '/opt/na ru/dist/main.js'`
const plain = `sudo -E env "PATH=$PATH" "HOME=$HOME" ${setpriv}`

describe('what gives a right', () => {
  it.each([
    [['open', '80', 'vmware:my box:80', '--for', '2h'], `open 80 'vmware:my box:80' --for 2h`],
    [['check', './a.yaml'], 'check ./a.yaml'],
    [['up', '--config', '/etc/it’s.yaml'], `up --config '/etc/it’s.yaml'`],
  ])('is the very command that was typed: %j', (words, command) => {
    expect(withRight('net_bind_service', started(words))).toBe(`${plain} ${naru} ${command}`)
  })

  it('is npm start where that was typed, from wherever it was', () => {
    const env = {
      npm_lifecycle_event: 'start',
      npm_package_name: 'naru',
      npm_config_local_prefix: '/src/naru',
      INIT_CWD: '/src/naru',
    }
    const up = (words: string[], INIT_CWD: string): string =>
      withRight('net_bind_service', started(['up', ...words], { env: { ...env, INIT_CWD } }))
    expect(up([], '/src/naru')).toBe(`${plain} npm start`)
    expect(up(['--api', 'off'], '/src/naru')).toBe(`${plain} npm start -- --api off`)
    expect(up([], '/home/min')).toBe(`${plain} npm --prefix /src/naru start`)
  })

  it('is node and the script where another package’s start, or npx, began it', () => {
    const env = { npm_lifecycle_event: 'start', npm_package_name: 'shop' }
    expect(withRight('net_bind_service', started(['up'], { env }))).toBe(`${plain} ${naru} up`)
    const npx = { npm_lifecycle_event: 'npx', npm_command: 'exec' }
    expect(withRight('net_bind_service', started(['open', '80', '81'], { env: npx }))).toBe(
      `${plain} ${naru} open 80 81`,
    )
  })

  it('keeps the places of files that were said in the environment, and tells no secret', () => {
    const env = { NARU_STATE: '/tmp/my state', NARU_VMREST: 'http://u:secret@127.0.0.1' }
    const command = withRight('net_bind_service', started(['up'], { env }))
    expect(command).toContain(`"HOME=$HOME" NARU_STATE='/tmp/my state' setpriv`)
    expect(command).not.toContain('secret')
  })

  it('is sudo where there are no capabilities, and the command alone where there is no sudo', () => {
    expect(withRight('net_admin', started(['up'], { platform: 'darwin' }))).toBe(
      `sudo env "PATH=$PATH" "HOME=$HOME" ${naru} up`,
    )
    expect(withRight('net_admin', started(['up'], { platform: 'win32' }))).toBe(
      '/home/min/.nvm/bin/node "/opt/na ru/dist/main.js" up',
    )
  })

  it('of root names node and the script, which are not on root’s PATH', () => {
    expect(asRoot(['ls', '--config', '/a b'], started([]))).toBe(
      `sudo env "PATH=$PATH" ${naru} ls --config '/a b'`,
    )
    expect(asService(started([]))).toBe(`sudo env "PATH=$PATH" ${naru} service install`)
  })
})

it('what starts Naru is what was typed, or up with the same file where that only looks', () => {
  const words = (...typed: string[]): readonly string[] => startingWords(started(typed))
  expect(words('up', '--api', 'off')).toEqual(['up', '--api', 'off'])
  expect(words('--lang', 'ko', 'open', '80', '81')).toEqual(['--lang', 'ko', 'open', '80', '81'])
  expect(words('doctor', '80', '--config', 'x')).toEqual(['up', '--config', 'x'])
  expect(words('doctor', '--config=x', '80')).toEqual(['up', '--config=x'])
  expect(words('doctor')).toEqual(['up'])
})
