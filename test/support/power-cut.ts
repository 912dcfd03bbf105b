/**
 * What a disk holds after a power cut: what was synced, and of what was not, any part. A process runs under strace, which
 * writes down every write and every sync; from that the files are made as they may be at any moment.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createReadStream, readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** What a process did to a file, in order. `said` is what it wrote to the file in which it tells what it holds for done. */
export type FileEvent =
  | { kind: 'write'; path: string; at: number; bytes: Buffer }
  | { kind: 'truncate'; path: string; size: number }
  | { kind: 'sync'; path: string }
  | { kind: 'said'; text: string }

/** Whether processes can be traced here: strace is installed (Debian: `strace`), and ptrace allowed. */
export const canTrace = (): boolean => spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0

/**
 * Runs a Node program under strace until `enough`, then kills it.
 *
 * @param files whose writes count
 * @param telling the file to which it appends what it holds for done
 */
export const traceWrites = async (
  program: readonly string[],
  {
    files,
    telling,
    enough,
  }: { files: readonly string[]; telling: string; enough: (told: string) => boolean },
): Promise<FileEvent[]> => {
  const trace = `${telling}.trace`
  const options = ['-f', '-y', '-xx', '-s', '1000000', '-e', 'trace=write,pwrite64,fsync,fdatasync,ftruncate']
  const paths = [...files, telling].flatMap(path => ['-P', path])
  const child = spawn('strace', [...options, ...paths, '-o', trace, process.execPath, ...program], {
    stdio: ['ignore', 'ignore', 'inherit'],
    // Its own group: what it runs ends with it.
    detached: true,
  })
  const ended = new Promise(resolve => child.once('close', resolve))
  let over = false
  void ended.then(() => {
    over = true
  })
  while (!over && !enough(readFileSync(telling, 'utf8')))
    await new Promise(resolve => setTimeout(resolve, 20))
  if (!over) process.kill(-(child.pid ?? 0), 'SIGKILL')
  await ended
  const events: FileEvent[] = []
  const unfinished = new Map<string, string>()
  for await (const line of createInterface({ input: createReadStream(trace) })) {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (text.endsWith(' <unfinished ...>')) {
      unfinished.set(thread, text.slice(0, -' <unfinished ...>'.length))
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)?.[1]
    const event = eventOf(resumed === undefined ? text : (unfinished.get(thread) ?? '') + resumed, telling)
    if (event) events.push(event)
  }
  return events
}

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll('\\x', ''), 'hex')

const eventOf = (call: string, telling: string): FileEvent | undefined => {
  const [, name = '', hexPath = '', rest = ''] = /^(\w+)\(\d+<((?:\\x..)+)>(.*)$/.exec(call) ?? []
  const path = bytesOf(hexPath).toString()
  if (/^f(data)?sync$/.test(name)) return / = 0$/.test(rest) ? { kind: 'sync', path } : undefined
  if (name === 'ftruncate') return { kind: 'truncate', path, size: Number(/^, (\d+)/.exec(rest)?.[1]) }
  const [, hex = '', offset] = /^, "((?:\\x..)*)", \d+(?:, (\d+))?\)? += \d+$/.exec(rest) ?? []
  if (name === 'write' && path === telling) return { kind: 'said', text: bytesOf(hex).toString() }
  if (name === 'pwrite64') return { kind: 'write', path, at: Number(offset), bytes: bytesOf(hex) }
  return undefined
}

/** Disks write this much or nothing. */
const sector = 512

/** Files as a disk has them: what is on it for sure, and what may or may not have come there yet. */
export const simulateDisk = () => {
  const durable = new Map<string, Buffer>()
  const pending = new Map<string, FileEvent[]>()

  const apply = (content: Buffer, event: FileEvent): Buffer => {
    if (event.kind === 'truncate')
      return Buffer.concat([content, Buffer.alloc(Math.max(0, event.size - content.length))]).subarray(
        0,
        event.size,
      )
    if (event.kind !== 'write') return content
    const end = event.at + event.bytes.length
    const grown =
      end > content.length
        ? Buffer.concat([content, Buffer.alloc(end - content.length)])
        : Buffer.from(content)
    event.bytes.copy(grown, event.at)
    return grown
  }
  const sectorsOf = (event: FileEvent): FileEvent[] => {
    if (event.kind !== 'write') return [event]
    const parts: FileEvent[] = []
    for (let from = 0; from < event.bytes.length; ) {
      const until = Math.min(event.bytes.length, from + sector - ((event.at + from) % sector))
      parts.push({ ...event, at: event.at + from, bytes: event.bytes.subarray(from, until) })
      from = until
    }
    return parts
  }
  return {
    /** What was there before, all of it on the disk. */
    holds: (path: string, content: Buffer): void => void durable.set(path, content),
    happen: (event: FileEvent): void => {
      if (event.kind === 'said') return
      const waiting = pending.get(event.path) ?? []
      if (event.kind === 'sync') {
        durable.set(event.path, waiting.reduce(apply, durable.get(event.path) ?? Buffer.alloc(0)))
        pending.delete(event.path)
      } else pending.set(event.path, [...waiting, event])
    },
    /** Writes the files out as they may be after a power cut now: of what was not synced, this share of the sectors. */
    cut: (share: number, nameOf: (path: string) => string): void => {
      for (const path of new Set([...durable.keys(), ...pending.keys()])) {
        const kept = (pending.get(path) ?? []).flatMap(sectorsOf).filter(() => Math.random() < share)
        writeFileSync(nameOf(path), kept.reduce(apply, durable.get(path) ?? Buffer.alloc(0)))
      }
    },
  }
}
