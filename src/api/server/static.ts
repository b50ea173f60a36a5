/** The web page's files, from one folder and nowhere else, under a policy that lets it talk to us alone. */
import { createHash } from 'node:crypto'
import { readFile, realpath } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { PageFiles } from './options.ts'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}

/** On every answer of the TCP side. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
}

/** The file at `path`, which for `/` is the page itself. Null where there is none. */
export async function staticFile(
  page: PageFiles,
  path: string,
  ifNoneMatch?: string,
): Promise<Response | null> {
  const name = nameOf(path)
  const bytes = name === null ? null : await page(name).catch(() => null)
  if (name === null || bytes === null) return null
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
  const headers = {
    'content-type': types[extname(name)] ?? 'application/octet-stream',
    'cache-control': name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    etag,
  }
  if (ifNoneMatch === etag) return new Response(null, { status: 304, headers })
  return new Response(new Uint8Array(bytes), { headers })
}

/** The files of one folder, and none that a link leads to elsewhere. */
export function filesOf(folder: string): PageFiles {
  return async (name) => {
    const base = await realpath(folder).catch(() => null)
    const file = base === null ? null : await realpath(join(base, name)).catch(() => null)
    if (base === null || file === null || !file.startsWith(base + sep)) return null
    return readFile(file)
  }
}

function nameOf(path: string): string | null {
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch {
    return null
  }
  if (/[\0\\]/.test(decoded) || decoded.split('/').some((part) => part.startsWith('.'))) return null
  const name = decoded.replace(/^\/+/, '')
  return name === '' ? 'index.html' : name
}
