/** The ways to prove who one is. Each row: its name and what it adds to `amr` (RFC 8176). */
import { checkPassword } from './password-check.ts'

export const signInMethods = {
  password: { amr: ['pwd'], check: checkPassword },
} as const
