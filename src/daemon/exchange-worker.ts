/** Reads or writes one file of another program, away from the thread that answers everybody else; then it ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { toNaruError } from '../base/errors.ts'
import { exportRules, importRules } from '../formats/index.ts'
import { parseRule } from '../model/rule-file.ts'
import type { ExchangeAnswer, ExchangeAsked } from './exchange.ts'

function answer(asked: ExchangeAsked): ExchangeAnswer {
  try {
    return { done: asked.way === 'read' ? importRules(asked.text, asked.options) : written(asked) }
  } catch (thrown) {
    const { code, params, problems } = toNaruError(thrown)
    return { failed: { code, params, problems } }
  }
}

function written({ to, rules }: Extract<ExchangeAsked, { way: 'write' }>): ReturnType<typeof exportRules> {
  return exportRules(
    to,
    rules.map(({ name, rule }) => parseRule(name, rule)),
  )
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage(answer(workerData as ExchangeAsked))
