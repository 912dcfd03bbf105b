/** The tables that hold values sealed under the master key. One row a table. */
import type { Reseal } from '../keys/reencrypt.ts'
import { resealServerKeys } from '../keys/server-key.ts'
import { resealSigningKeys } from '../keys/signing-key.ts'

export const sealedTables: readonly Reseal[] = [resealSigningKeys, resealServerKeys]
