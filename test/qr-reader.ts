/**
 * Reads a QR code as a phone does: from dark and light dots of any size, by the standard (ISO/IEC 18004) and nothing
 * of ours. Strict where a phone is lenient: every codeword must be right, and the quiet zone there.
 */
import { inflateSync } from 'node:zlib'

/** Rows of dots; true is dark. */
export type Image = readonly (readonly boolean[])[]

/** Level L of Table 9, by version: data codewords a block and how many blocks, error-correction codewords a block. */
const blocksOf = [
  [19, 1, 7],
  [34, 1, 10],
  [55, 1, 15],
  [80, 1, 20],
  [108, 1, 26],
  [68, 2, 18],
  [78, 2, 20],
  [97, 2, 24],
  [116, 2, 30],
] as const

/** The text of the one code of the picture. @throws where a reader would not read it */
export function readQr(image: Image): string {
  const modules = sampled(image)
  const version = (modules.length - 17) / 4
  const [dataLength, count, ecLength] = must(blocksOf[version - 1], `version ${version}`)
  checkFinders(modules)
  const words = codewords(modules, maskOf(modules), version)
  const blocks = Array.from({ length: count }, (_, block) => [
    ...Array.from({ length: dataLength }, (__, at) => must(words[at * count + block], 'data')),
    ...Array.from({ length: ecLength }, (__, at) =>
      must(words[(dataLength + at) * count + block], 'codeword'),
    ),
  ])
  for (const block of blocks) checkSyndromes(block, ecLength)
  return textOf(blocks.flatMap((block) => block.slice(0, dataLength)))
}

/** A terminal's half blocks, where light is drawn and dark is the background. */
export function dotsOfTerminal(text: string): Image {
  return text
    .split('\n')
    .flatMap((line) => [
      line.split('').map((sign) => sign === ' ' || sign === '▄'),
      line.split('').map((sign) => sign === ' ' || sign === '▀'),
    ])
}

/** A picture of a browser: PNG of 8 bits a sample, RGB or RGBA, not interlaced. */
export function dotsOfPng(png: Buffer): Image {
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)]
  const samples = png[25] === 6 ? 4 : 3
  const parts: Buffer[] = []
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at))
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT')
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)))
  const bytes = inflateSync(Buffer.concat(parts))
  const stride = width * samples
  let above = Buffer.alloc(stride)
  return Array.from({ length: height }, (_, y) => {
    const row = Buffer.from(bytes.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)))
    unfilter(bytes[y * (stride + 1)] ?? 0, row, above, samples)
    above = row
    return Array.from({ length: width }, (__, x) => (row[x * samples] ?? 0) < 128)
  })
}

/** Undoes one row's filter (PNG §9.2). */
function unfilter(kind: number, row: Buffer, above: Buffer, samples: number): void {
  for (let at = 0; at < row.length; at++) {
    const left = row[at - samples] ?? 0
    const up = above[at] ?? 0
    const corner = at < samples ? 0 : (above[at - samples] ?? 0)
    const guesses = [0, left, up, (left + up) >> 1, paeth(left, up, corner)]
    row[at] = ((row[at] ?? 0) + (guesses[kind] ?? 0)) & 255
  }
}

function paeth(left: number, up: number, corner: number): number {
  const near = (value: number): number => Math.abs(left + up - corner - value)
  if (near(left) <= near(up) && near(left) <= near(corner)) return left
  return near(up) <= near(corner) ? up : corner
}

/** One dot a module: the code begins and ends with dark finders, whose side is seven modules. */
function sampled(image: Image): boolean[][] {
  const rows = image.flatMap((row, y) => (row.includes(true) ? [y] : []))
  const [top = 0, bottom = 0] = [rows[0], rows.at(-1)]
  const first = must(image[top], 'a code')
  const [left, right] = [first.indexOf(true), first.lastIndexOf(true)]
  const module = (first.indexOf(false, left) - left) / 7
  const size = Math.round((right - left + 1) / module)
  const margins = [top, left, image.length - 1 - bottom, first.length - 1 - right]
  if (Math.min(...margins) < 3.5 * module)
    throw new Error(`no quiet zone of four modules: ${String(margins)}`)
  return Array.from({ length: size }, (_, y) =>
    Array.from({ length: size }, (__, x) => {
      const [row, column] = [top + (y + 0.5) * module, left + (x + 0.5) * module].map(Math.floor)
      return image[row ?? 0]?.[column ?? 0] ?? false
    }),
  )
}

function checkFinders(modules: readonly boolean[][]): void {
  const far = modules.length - 7
  for (const [top, left] of [
    [0, 0],
    [0, far],
    [far, 0],
  ] as const)
    for (let y = 0; y < 7; y++)
      for (let x = 0; x < 7; x++) {
        const ring = Math.max(Math.abs(y - 3), Math.abs(x - 3))
        if (modules[top + y]?.[left + x] !== (ring !== 2)) throw new Error(`no finder at ${top},${left}`)
      }
}

/** Level and mask stand there twice, with ten bits that must fit (§7.9). */
function maskOf(modules: readonly boolean[][]): number {
  const size = modules.length
  const at = (y: number, x: number): number => Number(modules[y]?.[x])
  const near = [0, 1, 2, 3, 4, 5, 7, 8]
    .map((x) => at(8, x))
    .concat([7, 5, 4, 3, 2, 1, 0].map((y) => at(y, 8)))
  const far = [1, 2, 3, 4, 5, 6, 7].map((y) => at(size - y, 8))
  for (let x = size - 8; x < size; x++) far.push(at(8, x))
  if (near.join('') !== far.join('')) throw new Error('the two formats differ')
  const format = Number.parseInt(near.join(''), 2) ^ 0b101010000010010
  let rest = format
  for (let bit = 14; bit >= 10; bit--) if (rest & (1 << bit)) rest ^= 0b10100110111 << (bit - 10)
  if (rest !== 0) throw new Error('the format is damaged')
  if (format >> 13 !== 0b01) throw new Error('not of level L')
  return (format >> 10) & 7
}

const masks: readonly ((i: number, j: number) => number)[] = [
  (i, j) => (i + j) % 2,
  (i) => i % 2,
  (_, j) => j % 3,
  (i, j) => (i + j) % 3,
  (i, j) => ((i >> 1) + Math.trunc(j / 3)) % 2,
  (i, j) => ((i * j) % 2) + ((i * j) % 3),
  (i, j) => (((i * j) % 2) + ((i * j) % 3)) % 2,
  (i, j) => (((i + j) % 2) + ((i * j) % 3)) % 2,
]

function codewords(modules: readonly boolean[][], mask: number, version: number): number[] {
  const size = modules.length
  const flips = must(masks[mask], 'a mask')
  const bits: number[] = []
  let up = true
  for (let column = size - 1; column > 0; column -= 2) {
    if (column === 6) column--
    for (let step = 0; step < size; step++) {
      const row = up ? size - 1 - step : step
      for (const x of [column, column - 1])
        if (!isFunction(row, x, size, version)) bits.push(Number(modules[row]?.[x] !== (flips(row, x) === 0)))
    }
    up = !up
  }
  return Array.from({ length: bits.length >> 3 }, (_, at) =>
    Number.parseInt(bits.slice(at * 8, at * 8 + 8).join(''), 2),
  )
}

/** Finders with their formats, timing, alignment and the version. */
function isFunction(y: number, x: number, size: number, version: number): boolean {
  if (y === 6 || x === 6) return true
  if ((y < 9 && (x < 9 || x >= size - 8)) || (y >= size - 8 && x < 9)) return true
  if (version >= 7 && ((y < 6 && x >= size - 11) || (x < 6 && y >= size - 11))) return true
  // Version 1 has none, 2 to 6 one, 7 to 9 a middle row and column besides.
  const centres = version === 1 ? [] : version < 7 ? [6, size - 7] : [6, 8 + 2 * version, size - 7]
  const near = (a: number): number => centres.find((centre) => Math.abs(centre - a) <= 2) ?? -1
  const [row, column] = [near(y), near(x)]
  const corner = [row, column].filter((centre) => centre === 6).length
  const atFinder = corner === 2 || (corner === 1 && (row === size - 7 || column === size - 7))
  return row > 0 && column > 0 && !atFinder
}

/** By Reed and Solomon, a block without an error is zero at every root (GF(256) by 285). */
function checkSyndromes(block: readonly number[], count: number): void {
  let root = 1
  for (let power = 0; power < count; power++) {
    let sum = 0
    for (const word of block) sum = times(sum, root) ^ word
    if (sum !== 0) throw new Error(`a codeword is wrong (syndrome ${power})`)
    root = times(root, 2)
  }
}

function times(a: number, b: number): number {
  let product = 0
  for (let bit = 128; bit > 0; bit >>= 1) {
    product = product & 128 ? (product << 1) ^ 285 : product << 1
    if (b & bit) product ^= a
  }
  return product
}

/** Byte mode, a length of eight bits. */
function textOf(data: readonly number[]): string {
  const bits = data.map((word) => word.toString(2).padStart(8, '0')).join('')
  if (!bits.startsWith('0100')) throw new Error('not in byte mode')
  const length = Number.parseInt(bits.slice(4, 12), 2)
  const bytes = Array.from({ length }, (_, at) => Number.parseInt(bits.slice(12 + at * 8, 20 + at * 8), 2))
  return Buffer.from(bytes).toString('utf8')
}

function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`there is no ${what}`)
  return value
}
