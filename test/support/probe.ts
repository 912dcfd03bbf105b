/** How a server of its own process is: its memory, and how late its event loop was since it was asked last. */
import type { ChildProcess } from 'node:child_process'

export type Health = {
  /** Bytes in use after everything that can be given back was given back. */
  heap: number
  /** Bytes at most, until now. */
  rss: number
  /** Milliseconds that 99 of 100 turns were late at most, there and in a thread beside: where both are, it is the machine. */
  late: number
  beside: number
}

const measure = `const gaps = []
let last = performance.now()
setInterval(() => { const now = performance.now(); gaps.push(now - last - 2); last = now }, 2).unref?.()
const late = () => { const all = gaps.splice(0).sort((a, b) => a - b); return all[Math.floor(all.length * 0.99)] ?? 0 }`

const program = `import v8 from 'node:v8'
import vm from 'node:vm'
import { readFileSync } from 'node:fs'
import { Worker, isMainThread } from 'node:worker_threads'
if (isMainThread) {
  v8.setFlagsFromString('--expose-gc')
  const gc = vm.runInNewContext('gc')
  ${measure}
  const beside = new Worker(\`const { parentPort } = require('node:worker_threads')
    ${measure.replace('.unref?.()', '')}
    parentPort.on('message', () => parentPort.postMessage(late()))\`, { eval: true, execArgv: [] })
  beside.unref()
  process.on('SIGUSR2', () => {
    const ours = late()
    beside.once('message', besideLate => {
      gc(); gc()
      const rss = Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
      console.log(JSON.stringify({ probe: { heap: process.memoryUsage().heapUsed, rss, late: ours, beside: besideLate } }))
    })
    beside.postMessage('how late?')
  })
}`

/** What NODE_OPTIONS must hold in the process that is asked. */
export const probed = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(program)}` }

/** Asks a process that was started with `probed`. */
export const healthOf = async (server: { process: ChildProcess; said: () => string }): Promise<Health> => {
  const found = (): string[] => server.said().match(/\{"probe":\{.*?\}\}/g) ?? []
  const before = found().length
  server.process.kill('SIGUSR2')
  for (const until = performance.now() + 30_000; found().length === before; ) {
    if (performance.now() > until) throw new Error('the server did not tell how it is')
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return (JSON.parse(found().at(-1) ?? '') as { probe: Health }).probe
}
