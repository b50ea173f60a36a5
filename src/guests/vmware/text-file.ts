/** A small text file at a path that a VM's owner chose, who may be another user. */
import { readPlainFile } from '../../base/plain-file.ts'

/** Larger than any that VMware writes. */
const mostBytes = 1 << 20

/** What is no plain file, too large or not there reads as empty. */
export async function textOf(path: string): Promise<string> {
  return await readPlainFile(path, mostBytes).then(String, () => '')
}
