/** The structured log: one JSON line an event, on standard output, with no secret in it. */
import { writeFile, writeFileSync } from 'node:fs'
import { type DestinationStream, pino } from 'pino'

export type LogFields = Record<string, string | number | boolean | null | undefined | Error>

export type Log = {
  debug: (event: string, fields?: LogFields) => void
  info: (event: string, fields?: LogFields) => void
  warn: (event: string, fields?: LogFields) => void
  error: (event: string, fields?: LogFields) => void
  /** Writes what is still buffered. */
  flush: () => void
}

/** Longest text in a field: a line stays readable whatever a client sends. */
const longestText = 500

/** Cuts long texts; JSON escapes control characters, so a line stays one line. */
const clean = (fields: LogFields = {}): Record<string, unknown> => {
  let cleaned: Record<string, unknown> = fields
  for (const name in fields) {
    const value = fields[name]
    const shown =
      typeof value === 'string' && value.length > longestText
        ? `${value.slice(0, longestText)}…`
        : value instanceof Error
          ? describeError(value)
          : value
    if (shown === value) continue
    if (cleaned === fields) cleaned = { ...fields }
    cleaned[name] = shown
  }
  return cleaned
}

/** An error with its causes. Messages are ours or a library's; no value that a client sent stands in them. */
const describeError = (error: Error): object => ({
  name: error.name,
  message: error.message.slice(0, longestText),
  stack: error.stack?.slice(0, 4000),
  ...(error.cause instanceof Error ? { cause: describeError(error.cause) } : {}),
})

/** Lines of one turn of the event loop are one write. When nobody reads, so much is kept; what comes then is dropped. */
const mostBuffered = 4 * 1024 * 1024

type LogStream = DestinationStream & { flushSync: () => void }

/** Standard output in the background, so that a blocked pipe holds nobody up. */
const standardOutput = (): LogStream => {
  let buffered = ''
  let dropped = 0
  let isWriting = false
  const flush = (): void => {
    if (isWriting || buffered === '') return
    const text = buffered
    buffered = ''
    isWriting = true
    writeFile(1, text, error => {
      isWriting = false
      // Nobody reads any more (EPIPE): a server goes on without its log. A full pipe is tried again.
      if (error?.code === 'EAGAIN') buffered = text + buffered
      if (dropped > 0) {
        buffered += `${JSON.stringify({ level: 'warn', event: 'log.dropped', lines: dropped })}\n`
        dropped = 0
      }
      if (buffered !== '') setTimeout(flush, error ? 100 : 0)
    })
  }
  return {
    write: line => {
      if (buffered.length > mostBuffered) {
        dropped += 1
        return
      }
      if (buffered === '' && !isWriting) setImmediate(flush)
      buffered += line
    },
    flushSync: () => {
      const text = buffered
      buffered = ''
      if (text !== '') writeFileSync(1, text)
    },
  }
}

/** The time of a line, as pino wants it; the part down to the second is made once a second. */
const makeTimestamp = (): (() => string) => {
  let second = Number.NaN
  let start = ''
  return () => {
    const now = Date.now()
    const ms = now % 1000
    if (now - ms !== second) {
      second = now - ms
      start = `,"time":"${new Date(second).toISOString().slice(0, 20)}`
    }
    return `${start}${String(ms).padStart(3, '0')}Z"`
  }
}

/** Makes the log. */
export const makeLog = (
  level: 'debug' | 'info' | 'warn' | 'error',
  stream: LogStream = standardOutput(),
): Log => {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: makeTimestamp(),
      formatters: { level: label => ({ level: label }) },
      messageKey: 'event',
    },
    stream,
  )
  return {
    debug: (event, fields) => logger.debug(clean(fields), event),
    info: (event, fields) => logger.info(clean(fields), event),
    warn: (event, fields) => logger.warn(clean(fields), event),
    error: (event, fields) => logger.error(clean(fields), event),
    flush: () => {
      try {
        stream.flushSync()
      } catch {
        // The stream was not open yet or is closed already: there is nothing to flush.
      }
    },
  }
}
