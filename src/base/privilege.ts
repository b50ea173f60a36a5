/**
 * How a person gives Naru a right that it lacks: to this one process, as a service or by an ambient capability. Never to
 * the program file of Node by `setcap`: whoever may run Node would have the right, and the commands that Naru starts
 * (nft, conntrack) would not. What is told can be pasted as it is: the very command that started this process, found
 * where it is, as sudo looks for programs elsewhere.
 */
import { programWords, type StartedAs } from './own-files.ts'
import { shellWord } from './shell.ts'

/** How a process was started, as far as it tells what a person typed. */
export interface Started extends StartedAs {
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * The same command with one right more, as the same user.
 * @param right as capabilities(7) names it: `net_bind_service`
 */
export function withRight(right: string, started: Started = process, words = wordsOf(started)): string {
  const command = commandOf(started, words)
  if (started.platform === 'win32') return command
  if (started.platform !== 'linux') return `sudo ${places(started)} ${command}`
  return (
    `sudo -E ${places(started)} setpriv --reuid "$(id -u)" --regid "$(id -g)" --init-groups ` +
    `--inh-caps +${right} --ambient-caps +${right} ${command}`
  )
}

/** A command of Naru's as root, who may have another PATH and another home. */
export function asRoot(words: readonly string[], started: Started = process): string {
  const command = [...programWords(started), ...words]
    .map((word) => shellWord(word, started.platform))
    .join(' ')
  return started.platform === 'win32' ? command : `sudo env "PATH=$PATH" ${command}`
}

/** For what starts commands of its own, too: the service has the rights it needs and no more. */
export const asService = (started: Started = process): string => asRoot(['service', 'install'], started)

/** The words that start what opens rules: those typed, or `up` with the same file where a verb was typed that only looks. */
export function startingWords({ argv }: Pick<Started, 'argv'> = process): readonly string[] {
  const typed = argv.slice(2)
  if (typed.includes('up') || typed.includes('open')) return typed
  const at = typed.findIndex((word) => word === '--config' || word === '-c' || word.startsWith('--config='))
  const config = at === -1 ? [] : typed.slice(at, typed[at]?.includes('=') ? at + 1 : at + 2)
  return ['up', ...config]
}

/** In the foreground the same again as root; rules of a file belong to the service then, which has a file of its own. */
export function startWithRights(started: Started = process): string {
  const words = startingWords(started).filter((word) => word !== '--dry-run')
  return words.includes('open') ? asRoot(words, started) : asService(started)
}

/** Where the user's files are is lost on the way through sudo, unless it is said. */
const placesInEnv = ['NARU_CONFIG', 'NARU_STATE', 'XDG_CONFIG_HOME', 'XDG_STATE_HOME']

function places({ env }: Started): string {
  const said = placesInEnv.flatMap((name) => (env[name] ? [`${name}=${shellWord(env[name], 'linux')}`] : []))
  return ['env', '"PATH=$PATH"', '"HOME=$HOME"', ...said].join(' ')
}

const wordsOf = ({ argv }: Started): readonly string[] => argv.slice(2)

/** `npm start` builds what is stale before it starts, in the folder where it was typed; anything else is node and a script. */
function commandOf(started: Started, words: readonly string[]): string {
  const { env, platform } = started
  const folder = env['npm_config_local_prefix']
  const byNpmStart = env['npm_lifecycle_event'] === 'start' && env['npm_package_name'] === 'naru'
  const there = folder === undefined || folder === env['INIT_CWD'] ? [] : ['--prefix', folder]
  const rest = words[0] === 'up' ? words.slice(1) : null
  const all =
    byNpmStart && rest
      ? ['npm', ...there, 'start', ...(rest.length > 0 ? ['--', ...rest] : [])]
      : [...programWords(started), ...words]
  return all.map((word) => shellWord(word, platform)).join(' ')
}
