/** Harm done to real inputs, the same for the same seed. */

export interface Random {
  /** A whole number from 0 to `below` − 1. */
  (below: number): number
}

/** mulberry32: small, and the same everywhere. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** What parsers stumble over: ends, brackets, numbers at their limits, names that objects have by themselves. */
const morsels = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  '\t',
  ' ',
  ':',
  ';',
  ',',
  '"',
  "'",
  '\\',
  '/',
  '%',
  '@',
  '&',
  '<',
  '>',
  '#',
  '$',
  '*',
  '[',
  ']',
  '{',
  '}',
  '(',
  ')',
  '-',
  '--',
  '- ',
  '|',
  '=',
  '!',
  '~',
  '\u{feff}',
  '\u{1f6a2}',
  '\u{202e}',
  '\u{d7ff}',
  '0',
  '-1',
  '00',
  '65535',
  '65536',
  '4294967296',
  '9007199254740993',
  '1e999',
  '0x10',
  'NaN',
  'null',
  'true',
  '0.0.0.0',
  '::',
  '::ffff:1.2.3.4/90',
  'fe80::1%eth0',
  '255.255.255.255/33',
  '__proto__',
  'constructor',
  'toString',
  '<![CDATA[',
  ']]>',
  '<!--',
  '&#0;',
  '&#x110000;',
  '&amp;',
  '${A:-${B}}',
  '&a *a',
  '!!js/function',
  '<<: *a',
  '---\n',
].map((text) => Buffer.from(text))

const most = { deeds: 6, morsel: 8 }

/** @param longest no result is longer, in bytes. */
export function mutated(seeds: readonly Buffer[], random: Random, longest: number): Buffer {
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T
  let bytes = pick(seeds)
  for (let deeds = 1 + random(most.deeds); deeds > 0; deeds--) {
    const [a, b] = [random(bytes.length + 1), random(bytes.length + 1)]
    const [from, to] = [Math.min(a, b), Math.max(a, b)]
    const [head, middle, tail] = [bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)]
    const other = pick(seeds)
    const deed = pick([
      () => [head, tail],
      () => [head, pick(morsels), bytes.subarray(from)],
      () => [head, pick(morsels), tail],
      () => [head, Buffer.from([random(256)]), bytes.subarray(Math.min(from + 1, bytes.length))],
      () => [head, middle, middle, tail],
      () => [head, tail, middle],
      () => [bytes.subarray(0, to)],
      () => [head, other.subarray(random(other.length + 1))],
      // What costs more the more of it there is.
      () => [head, repeated(middle.subarray(0, 1 + random(most.morsel)), random(longest)), tail],
      () => [head, repeated(pick(morsels), random(longest)), tail],
      () => [head, repeated(bytes.subarray(from, from + 200), random(longest)), tail],
    ])
    bytes = Buffer.concat(deed()).subarray(0, longest)
  }
  return bytes
}

function repeated(piece: Uint8Array, bytes: number): Buffer {
  return piece.length === 0 ? Buffer.alloc(0) : Buffer.alloc(bytes, piece)
}
