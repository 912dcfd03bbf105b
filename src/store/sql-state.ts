/**
 * PostgreSQL's five characters, of an error that the server sent; empty for any other (a socket's, one of ours).
 * Told by its severity, so that the driver need not be loaded to ask.
 */
export const sqlState = (error: unknown): string =>
  error instanceof Error && 'severity' in error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : ''
