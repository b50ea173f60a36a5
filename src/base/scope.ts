/**
 * An undo stack: what is half built undoes itself, last in, first out. `use` what is disposable, `defer` what
 * is not, and `move` everything out once the whole stands.
 */
export class Scope implements AsyncDisposable {
  #undo: (() => unknown)[] = []

  /** Keeps `resource` until this scope ends. */
  use<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.#undo.push(() =>
      Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose](),
    )
    return resource
  }

  defer(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  /** Hands everything over to a new scope; this one then ends without undoing anything. */
  move(): Scope {
    const next = new Scope()
    next.#undo = this.#undo
    this.#undo = []
    return next
  }

  /** Undoes everything even where one step fails, then throws the first failure. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = []
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) {
      try {
        await undo()
      } catch (failure) {
        failures.push(failure)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
