// naru(1), made from the same definitions as --help. Needs a build.
import { loadAll } from '../dist/cli/commands/index.js'
import { optionText, optionUsage, usageLine } from '../dist/cli/help.js'
import { globalOptions } from '../dist/cli/options.js'

const english = { say: (text) => text.en }

/** @param version of Naru. @param seconds since 1970: the page's date. @returns roff, as man(7) reads it */
export async function manPage(version, seconds) {
  const verbs = (await loadAll()).filter(({ hidden }) => !hidden)
  const date = new Date(seconds * 1000).toISOString().slice(0, 10)
  return `${[
    `.TH NARU 1 "${date}" "naru ${version}"`,
    '.SH NAME',
    'naru \\- publish a service through router, firewall, relay and guest',
    '.SH SYNOPSIS',
    '.B naru',
    roff('COMMAND …'),
    '.SH DESCRIPTION',
    roff(
      'One command publishes a service through every hop between an outside client and the service, and says which hop is broken when one is. Rules of the service are in /etc/naru/naru.yaml, its environment in /etc/default/naru.',
    ),
    '.SH OPTIONS',
    ...options(globalOptions),
    '.SH COMMANDS',
    ...verbs.flatMap((verb) => section(verb, `naru ${verb.name}`)),
    '.SH SEE ALSO',
    roff('nft(8), conntrack(8), systemctl(1); /usr/share/doc/naru'),
  ].join('\n')}\n`
}

function section(verb, command) {
  const { about, arguments: words = [], examples = [], verbs = [] } = verb
  return [
    `.SS ${roff(usageLine(verb, command))}`,
    roff(verb.summary.en),
    ...(about ? ['.PP', roff(about.en)] : []),
    ...words.flatMap(({ name, text }) => item(name, text.en)),
    ...options(verb.options ?? []),
    ...examples.flatMap(({ command: example, text }) => item(example, text.en)),
    ...verbs.flatMap((one) => section(one, `${command} ${one.name}`)),
  ]
}

const options = (all) => all.flatMap((one) => item(optionUsage(one), optionText(one, english)))
const item = (name, text) => ['.TP', `.B ${roff(name)}`, roff(text)]

/** One line of text: what roff would take for its own is escaped (groff(7), "Escapes"). */
function roff(text) {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '\\[u2026]')
    .replaceAll('`', '\\(ga')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/^[.']/, '\\&$&')
}
