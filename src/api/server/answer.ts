/** Errors as HTTP answers: the code decides the status, the body is the error as `--json` prints it. */
import { HTTPException } from 'hono/http-exception'
import { NaruError, toNaruError, type Code } from '../../base/errors.ts'
import { verbatim } from '../../base/text.ts'

const statuses: Partial<Record<Code, number>> = {
  RULE_UNKNOWN: 404,
  CONNECTION_UNKNOWN: 404,
  API_NOT_FOUND: 404,
  RULE_EXISTS: 409,
  FILE_CHANGED: 409,
  LISTEN_IN_USE: 409,
  API_NO_TOKEN: 401,
  API_TOO_LARGE: 413,
  API_BUSY: 429,
  RULE_INVALID: 422,
  VALUE_INVALID: 422,
  FILE_INVALID: 422,
  TIMED_OUT: 504,
}

/** @returns 400 for bad input, 403 where it is not permitted, 500 for the rest, unless the code has its own. */
export function statusOf(error: NaruError): number {
  const own = statuses[error.code]
  if (own !== undefined) return own
  if (error.exitCode === 2) return 400
  if (error.exitCode === 4) return 403
  return error.exitCode === 5 ? 409 : 500
}

export function errorAnswer(thrown: unknown): Response {
  const error = readable(thrown)
  return Response.json(error.toJSON(), {
    status: statusOf(error),
    headers: error.code === 'API_NO_TOKEN' ? { 'www-authenticate': 'Bearer realm="naru"' } : {},
  })
}

function readable(thrown: unknown): NaruError {
  if (thrown instanceof HTTPException && thrown.status < 500)
    return new NaruError('API_BAD_REQUEST', { why: verbatim(thrown.message || `HTTP ${thrown.status}`) })
  return toNaruError(thrown)
}
