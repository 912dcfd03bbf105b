/** The ways to prove who one is. Each row: its name and what it adds to `amr` (RFC 8176). */
import { checkPassword } from './password-check.ts'

export const signInMethods = {
  password: { amr: ['pwd'], check: checkPassword },
} as const

/** Every `amr` value that a token of ours can hold. */
export const amrValues: readonly string[] = [
  ...new Set(Object.values(signInMethods).flatMap(method => method.amr)),
]
