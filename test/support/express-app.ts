/** An Express app on a port of its own, for clients that are middleware. */
import type { AddressInfo } from 'node:net'
import express, { type Express } from 'express'
import { onTestFinished } from 'vitest'
import { type Visitor, visitor } from './visitor.ts'

export type ExpressApp = { app: Express; origin: string; visit: Visitor }

/** Listens before it is furnished: its middleware wants to know the address. */
export const startExpress = async (): Promise<ExpressApp> => {
  const app = express()
  const server = app.listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  onTestFinished(
    () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`
  return { app, origin, visit: visitor(request => fetch(request)) }
}
