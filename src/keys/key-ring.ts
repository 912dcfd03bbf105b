/** Signing keys: in the database, private parts encrypted, ready as key objects in memory. */
import { createHash, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { Store } from '../store/database.ts'
import type { SecretBox } from './secret-box.ts'
import {
  type KeyLife,
  KeyRingError,
  type KeyRow,
  type KeyState,
  listKeys,
  type SigningAlgorithm,
  signingAlgorithms,
} from './signing-key.ts'

/** A key that signs now. */
export type SigningKey = { kid: string; alg: SigningAlgorithm; privateKey: KeyObject }

/** A key that something can be verified with. */
export type VerificationKey = { kid: string; alg: SigningAlgorithm; state: KeyState; publicKey: KeyObject }

export type KeyRing = {
  /** The key that signs with this algorithm now. */
  signer: (alg: SigningAlgorithm) => SigningKey
  /** Whether this algorithm has a key that signs. */
  canSign: (alg: SigningAlgorithm) => boolean
  /** A published key. */
  verifier: (kid: string) => VerificationKey | undefined
  /** A published or a retired key: for an `id_token_hint`, which may be old. */
  hintVerifier: (kid: string) => VerificationKey | undefined
  /** The algorithms that have a key, in the order they are offered. */
  algorithms: () => SigningAlgorithm[]
  /** The public keys as a document (RFC 7517), ready to send. */
  jwks: () => { body: Buffer; etag: string }
  /** The life of every key there ever was, oldest first. */
  lives: () => readonly KeyLife[]
  /** Why the table could not be read the last time; what was read before stays in use. */
  unreadable: () => string | undefined
  /** Counts up whenever the keys change: what was verified before may not be now. */
  generation: () => number
  /** Reads the table again. */
  reload: () => Promise<void>
}

type Loaded = {
  signers: Map<SigningAlgorithm, SigningKey>
  published: Map<string, VerificationKey>
  retired: Map<string, VerificationKey>
  lives: KeyLife[]
  jwks: { body: Buffer; etag: string }
}

const isPublished = (row: KeyRow): boolean =>
  row.state === 'announced' || row.state === 'active' || row.state === 'retiring'

const load = (rows: KeyRow[], box: SecretBox): Loaded => {
  const loaded: Loaded = {
    signers: new Map(),
    published: new Map(),
    retired: new Map(),
    lives: rows.map(({ public_jwk: _, private_box: __, ...life }) => life),
    jwks: documentOf(rows),
  }
  for (const row of rows) {
    if (row.state === 'gone') continue
    const publicKey = createPublicKey({ key: JSON.parse(row.public_jwk) as JsonWebKey, format: 'jwk' })
    const key: VerificationKey = { kid: row.kid, alg: row.alg, state: row.state, publicKey }
    ;(isPublished(row) ? loaded.published : loaded.retired).set(row.kid, key)
    if (row.state !== 'active' && row.state !== 'announced') continue
    // An announced key is opened as well: a wrong master key shows at start and not on the day that it is to sign.
    const privateKey = createPrivateKey(box.open(row.private_box, row.kid))
    if (row.state === 'active') loaded.signers.set(row.alg, { kid: row.kid, alg: row.alg, privateKey })
  }
  return loaded
}

const documentOf = (rows: KeyRow[]): Loaded['jwks'] => {
  const keys = rows.filter(isPublished).map(row => JSON.parse(row.public_jwk) as JsonWebKey)
  const body = Buffer.from(JSON.stringify({ keys }))
  return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }
}

/** Every server has these from its first start; without one of them something was lost. */
const indispensable: readonly SigningAlgorithm[] = ['RS256', 'ES256']

const requireActive = (rows: readonly KeyRow[]): void => {
  const lost = indispensable.find(alg => !rows.some(row => row.alg === alg && row.state === 'active'))
  if (lost !== undefined)
    throw new KeyRingError(
      `there is no active ${lost} signing key in the database. Restore the table signing_key from a backup; a new key would hide the loss`,
    )
}

/**
 * Reads the keys into memory.
 *
 * @throws KeyRingError when a key cannot be decrypted, or one that must be there is not
 */
export const openKeyRing = async (store: Store, box: SecretBox): Promise<KeyRing> => {
  let loaded: Loaded | undefined
  let generation = 0
  const current = (): Loaded => {
    if (!loaded) throw new KeyRingError('the signing keys are not loaded')
    return loaded
  }
  const readAgain = async (): Promise<void> => {
    const rows = await listKeys(store)
    requireActive(rows)
    try {
      loaded = load(rows, box)
    } catch (cause) {
      throw new KeyRingError(
        `the signing keys cannot be decrypted: ${cause instanceof Error ? cause.message : cause}. Set LINTEL_MASTER_KEY to the key this database was made with`,
        { cause },
      )
    }
    generation += 1
  }
  let unreadable: string | undefined
  let reading: Promise<void> = Promise.resolve()
  /** One after the other, or an older answer that comes later would bring a compromised key back. */
  const reload = (): Promise<void> => {
    reading = reading
      .catch(() => undefined)
      .then(readAgain)
      .then(
        () => {
          unreadable = undefined
        },
        (error: unknown) => {
          unreadable = error instanceof Error ? error.message : String(error)
          throw error
        },
      )
    return reading
  }
  await reload()
  return {
    signer: alg => {
      const key = current().signers.get(alg)
      if (!key) throw new KeyRingError(`there is no active ${alg} key`)
      return key
    },
    canSign: alg => current().signers.has(alg),
    verifier: kid => current().published.get(kid),
    hintVerifier: kid => current().published.get(kid) ?? current().retired.get(kid),
    algorithms: () => signingAlgorithms.filter(alg => current().signers.has(alg)),
    jwks: () => current().jwks,
    lives: () => current().lives,
    unreadable: () => unreadable,
    generation: () => generation,
    reload,
  }
}
