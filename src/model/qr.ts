/**
 * A QR code (ISO/IEC 18004) of a short text such as a link: byte mode, level L, versions 1–9, at most 230 bytes. The
 * modules come out as rows of true (dark) and false; `qrText` draws them with half blocks for a terminal.
 */
import { NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'

/** Of level L, by version: all codewords, error-correction codewords a block, blocks. Table 9 of the standard. */
const sizes = [
  [26, 7, 1],
  [44, 10, 1],
  [70, 15, 1],
  [100, 20, 1],
  [134, 26, 1],
  [172, 18, 2],
  [196, 20, 2],
  [242, 24, 2],
  [292, 30, 2],
] as const

/** Centres of alignment patterns, by version (Annex E). */
const alignments = [[], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46]]

/** @throws NaruError VALUE_INVALID where the text is longer than 230 bytes */
export function qrCode(text: string): boolean[][] {
  const bytes = new TextEncoder().encode(text)
  const version = versionFor(bytes.length, text)
  const codewords = interleaved(dataCodewords(bytes, version), version)
  const candidates = masks.map((_, mask) => drawn(version, codewords, mask))
  return candidates.reduce((best, one) => (penalty(one) < penalty(best) ? one : best))
}

/** Two rows of modules a line, dark on light, with the quiet zone of four that readers need. */
export function qrText(text: string): string {
  const code = qrCode(text)
  const quiet = 4
  const dark = (y: number, x: number): boolean => code[y - quiet]?.[x - quiet] ?? false
  const size = code.length + 2 * quiet
  const lines: string[] = []
  for (let y = 0; y < size; y += 2) {
    let line = ''
    // Light is drawn, dark is left out: terminals are dark more often than not.
    for (let x = 0; x < size; x++)
      line += [' ', '▄', '▀', '█'][(dark(y, x) ? 0 : 2) + (dark(y + 1, x) ? 0 : 1)]
    lines.push(line)
  }
  return lines.join('\n')
}

function versionFor(length: number, text: string): number {
  const index = sizes.findIndex(([all, ecc, blocks]) => length + 2 <= all - ecc * blocks)
  if (index >= 0) return index + 1
  throw new NaruError('VALUE_INVALID', {
    what: 'QR code',
    value: text.slice(0, 40),
    why: say('at most 230 bytes fit'),
  })
}

/** Mode 0100, length, bytes, terminator, then the padding 0xEC 0x11 … (§7.4). Everything is shifted by half a byte. */
function dataCodewords(bytes: Uint8Array, version: number): number[] {
  const [all, ecc, blocks] = sizes[version - 1]!
  const room = all - ecc * blocks
  const nibbles = [4, bytes.length >> 4, bytes.length & 15]
  for (const byte of bytes) nibbles.push(byte >> 4, byte & 15)
  nibbles.push(0)
  const words: number[] = []
  for (let at = 0; at + 1 < nibbles.length; at += 2) words.push((nibbles[at]! << 4) | nibbles[at + 1]!)
  for (let pad = 0; words.length < room; pad++) words.push(pad % 2 === 0 ? 0xec : 0x11)
  return words.slice(0, room)
}

/** Blocks take turns, data first, then error correction (§7.6). */
function interleaved(data: readonly number[], version: number): number[] {
  const [, ecc, count] = sizes[version - 1]!
  const short = Math.floor(data.length / count)
  const longer = data.length % count
  const blocks: number[][] = []
  for (let block = 0, at = 0; block < count; block++) {
    const length = short + (block >= count - longer ? 1 : 0)
    blocks.push(data.slice(at, at + length))
    at += length
  }
  const corrections = blocks.map((block) => correction(block, ecc))
  return [...turns(blocks), ...turns(corrections)]
}

function turns(blocks: readonly (readonly number[])[]): number[] {
  const longest = Math.max(...blocks.map(({ length }) => length))
  const out: number[] = []
  for (let at = 0; at < longest; at++) for (const block of blocks) if (at < block.length) out.push(block[at]!)
  return out
}

/** GF(256) with 0x11d. */
const exponents = new Uint8Array(512)
const logarithms = new Uint8Array(256)
for (let power = 0, value = 1; power < 255; power++) {
  exponents[power] = exponents[power + 255] = value
  logarithms[value] = power
  value = value & 0x80 ? (value << 1) ^ 0x11d : value << 1
}

const times = (a: number, b: number): number =>
  a === 0 || b === 0 ? 0 : exponents[logarithms[a]! + logarithms[b]!]!

/** Reed–Solomon: the remainder of the block by (x−1)(x−α)…(x−α^(count−1)). */
function correction(block: readonly number[], count: number): number[] {
  let generator = [1]
  for (let root = 0; root < count; root++) {
    const next = [...generator, 0]
    for (let at = 0; at < generator.length; at++) next[at + 1]! ^= times(generator[at]!, exponents[root]!)
    generator = next
  }
  const rest = [...block, ...Array<number>(count).fill(0)]
  for (let at = 0; at < block.length; at++) {
    const factor = rest[at]!
    for (let term = 0; term <= count; term++) rest[at + term]! ^= times(generator[term]!, factor)
  }
  return rest.slice(block.length)
}

const masks: readonly ((y: number, x: number) => boolean)[] = [
  (y, x) => (y + x) % 2 === 0,
  (y) => y % 2 === 0,
  (_, x) => x % 3 === 0,
  (y, x) => (y + x) % 3 === 0,
  (y, x) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (y, x) => ((y * x) % 2) + ((y * x) % 3) === 0,
  (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2 === 0,
  (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2 === 0,
]

type Grid = (boolean | null)[][]

function drawn(version: number, codewords: readonly number[], mask: number): boolean[][] {
  const size = 17 + 4 * version
  const grid: Grid = Array.from({ length: size }, () => Array<boolean | null>(size).fill(null))
  drawFunctionPatterns(grid, version)
  drawFormat(grid, mask)
  drawData(grid, codewords, masks[mask]!)
  return grid.map((row) => row.map((module) => module === true))
}

function drawFunctionPatterns(grid: Grid, version: number): void {
  const size = grid.length
  for (const [top, left] of [
    [0, 0],
    [0, size - 7],
    [size - 7, 0],
  ] as const)
    drawFinder(grid, top, left)
  const centres = alignments[version - 1]!
  for (const y of centres)
    for (const x of centres) {
      const inFinder = (y < 9 && x < 9) || (y < 9 && x > size - 10) || (y > size - 10 && x < 9)
      if (!inFinder) drawSquares(grid, y, x, 2)
    }
  for (let at = 8; at < size - 8; at++) grid[6]![at] = grid[at]![6] = at % 2 === 0
  grid[size - 8]![8] = true
  if (version >= 7) drawVersion(grid, version)
}

/** Seven by seven with a light border. */
function drawFinder(grid: Grid, top: number, left: number): void {
  for (let y = -1; y <= 7; y++)
    for (let x = -1; x <= 7; x++) {
      const row = grid[top + y]
      if (!row || left + x < 0 || left + x >= grid.length) continue
      const ring = Math.max(Math.abs(y - 3), Math.abs(x - 3))
      row[left + x] = ring !== 2 && ring !== 4
    }
}

function drawSquares(grid: Grid, y: number, x: number, reach: number): void {
  for (let dy = -reach; dy <= reach; dy++)
    for (let dx = -reach; dx <= reach; dx++)
      grid[y + dy]![x + dx] = Math.max(Math.abs(dy), Math.abs(dx)) !== 1
}

/** Level L is 01; BCH(15,5) by 0x537, then XOR 0x5412 (§7.9). */
function drawFormat(grid: Grid, mask: number): void {
  const data = (1 << 3) | mask
  const bits = ((data << 10) | remainder(data << 10, 0x537)) ^ 0x5412
  const size = grid.length
  const bit = (at: number): boolean => ((bits >> at) & 1) === 1
  for (let at = 0; at < 6; at++) grid[at]![8] = bit(at)
  grid[7]![8] = bit(6)
  grid[8]![8] = bit(7)
  grid[8]![7] = bit(8)
  for (let at = 9; at < 15; at++) grid[8]![14 - at] = bit(at)
  for (let at = 0; at < 8; at++) grid[8]![size - 1 - at] = bit(at)
  for (let at = 8; at < 15; at++) grid[size - 15 + at]![8] = bit(at)
}

/** BCH(18,6) by 0x1f25, from version 7 on (§7.10). */
function drawVersion(grid: Grid, version: number): void {
  const bits = (version << 12) | remainder(version << 12, 0x1f25)
  for (let at = 0; at < 18; at++) {
    const dark = ((bits >> at) & 1) === 1
    const [far, near] = [grid.length - 11 + (at % 3), Math.floor(at / 3)]
    grid[near]![far] = dark
    grid[far]![near] = dark
  }
}

function remainder(value: number, divisor: number): number {
  const degree = 31 - Math.clz32(divisor)
  let rest = value
  while (31 - Math.clz32(rest) >= degree) rest ^= divisor << (31 - Math.clz32(rest) - degree)
  return rest
}

/** In pairs of columns from the right, up and down in turns, round the function patterns (§7.7.3). */
function drawData(grid: Grid, codewords: readonly number[], mask: (y: number, x: number) => boolean): void {
  const size = grid.length
  let at = 0
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5
    const upward = ((right + 1) & 2) === 0
    for (let step = 0; step < size; step++) {
      const y = upward ? size - 1 - step : step
      for (const x of [right, right - 1]) {
        if (grid[y]![x] !== null) continue
        const word = codewords[at >> 3] ?? 0
        const dark = ((word >> (7 - (at & 7))) & 1) === 1
        at++
        grid[y]![x] = dark !== mask(y, x)
      }
    }
  }
}

/** How hard it is to read (§7.8.3): long runs, squares, finder look-alikes, imbalance. */
function penalty(code: readonly (readonly boolean[])[]): number {
  const size = code.length
  let score = 0
  let darkCount = 0
  const lookAlike = /(?=10111010000|00001011101)/g
  for (let line = 0; line < size; line++) {
    const row = code[line]!.map(Number).join('')
    const column = code.map((other) => Number(other[line])).join('')
    for (const text of [row, column]) {
      for (const run of text.match(/0{5,}|1{5,}/g) ?? []) score += run.length - 2
      score += 40 * (text.match(lookAlike)?.length ?? 0)
    }
    darkCount += code[line]!.filter(Boolean).length
  }
  for (let y = 0; y + 1 < size; y++)
    for (let x = 0; x + 1 < size; x++) {
      const sum =
        Number(code[y]![x]) + Number(code[y]![x + 1]) + Number(code[y + 1]![x]) + Number(code[y + 1]![x + 1])
      if (sum === 0 || sum === 4) score += 3
    }
  return score + 10 * Math.floor(Math.abs((darkCount * 20) / (size * size) - 10))
}
