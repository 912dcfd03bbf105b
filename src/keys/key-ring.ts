/** Signing keys: in the database, private parts encrypted, ready as key objects in memory. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto'
import { changedFrom, readVersions } from '../store/change.ts'
import { GuardFailed, type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'
import { randomText } from '../store/text-key.ts'
import type { SecretBox } from './secret-box.ts'

export const signingAlgorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const
export type SigningAlgorithm = (typeof signingAlgorithms)[number]

/** Whether an algorithm is one that we can sign with. */
export const isSigningAlgorithm = (alg: string): alg is SigningAlgorithm =>
  (signingAlgorithms as readonly string[]).includes(alg)

/**
 * `announced` is in the JWKS and does not sign yet, `active` signs, `retiring` is in the JWKS for what it
 * signed, `retired` is unpublished and verifies only an `id_token_hint`, `gone` verifies nothing.
 */
export type KeyState = 'announced' | 'active' | 'retiring' | 'retired' | 'gone'

export type KeyRow = {
  kid: string
  alg: SigningAlgorithm
  state: KeyState
  public_jwk: string
  private_box: string
  announced_at: number
  active_at: number | null
  retiring_at: number | null
  retired_at: number | null
  gone_at: number | null
  reason: string | null
}

const keyColumns = [
  'kid',
  'alg',
  'state',
  'public_jwk',
  'private_box',
  'announced_at',
  'active_at',
  'retiring_at',
  'retired_at',
  'gone_at',
  'reason',
] as const

const inserting = insertion<KeyRow>('signing_key', keyColumns)
const reading = statement<Record<never, never>, KeyRow>('signing_key.read', knex =>
  knex('signing_key').select(keyColumns).orderBy('announced_at').orderBy('kid'),
)
const countingUsers = statement<Record<never, never>, { id: string }>('signing_key.any-user', knex =>
  knex('user').select('id').limit(1),
)

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
  /** Counts up whenever the keys change: what was verified before may not be now. */
  generation: () => number
  /** Reads the table again. */
  reload: () => Promise<void>
}

/** Keys are missing or cannot be decrypted: the server must not start, nor make new ones. */
export class KeyRingError extends Error {
  override name = 'KeyRingError'
}

type Generated = { publicKey: KeyObject; privateKey: KeyObject }

const generatePair = (alg: SigningAlgorithm, rsaBits: number): Promise<Generated> =>
  new Promise((resolve, reject) => {
    const done = (error: Error | null, publicKey: KeyObject, privateKey: KeyObject): void =>
      error ? reject(error) : resolve({ publicKey, privateKey })
    if (alg === 'ES256') generateKeyPair('ec', { namedCurve: 'P-256' }, done)
    else if (alg === 'EdDSA') generateKeyPair('ed25519', {}, done)
    else generateKeyPair('rsa', { modulusLength: rsaBits }, done)
  })

/**
 * Makes a key and the write that stores it. It counts only after `changed('key')` in the same commit.
 *
 * @param state `announced`, or `active` to sign at once
 */
export const newSigningKey = async (
  options: { alg: SigningAlgorithm; rsaBits: number; box: SecretBox; now: Date },
  state: 'announced' | 'active',
): Promise<{ kid: string; write: Write }> => {
  const { publicKey, privateKey } = await generatePair(options.alg, options.rsaBits)
  const kid = `${options.alg.toLowerCase()}-${randomText(16)}`
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: options.alg, use: 'sig' }
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  const now = seconds(options.now)
  return {
    kid,
    write: write(inserting, {
      kid,
      alg: options.alg,
      state,
      public_jwk: JSON.stringify(jwk),
      private_box: options.box.seal(pem, kid),
      announced_at: now,
      active_at: state === 'active' ? now : null,
      retiring_at: null,
      retired_at: null,
      gone_at: null,
      reason: null,
    }),
  }
}

/** All keys there ever were, oldest first. */
export const listKeys = (store: Store): Promise<KeyRow[]> => store.all(reading, {})

/**
 * Makes the first keys of an empty database, one an algorithm. Several processes may call it at once; one wins.
 *
 * @throws KeyRingError when there are users but no keys: something was lost, and new keys would hide it
 */
export const makeFirstKeys = async (
  store: Store,
  options: { algorithms: readonly string[]; rsaBits: number; box: SecretBox; now: () => Date },
): Promise<void> => {
  const { key: version } = await readVersions(store)
  const existing = await listKeys(store)
  const missing = options.algorithms
    .filter(isSigningAlgorithm)
    .filter(alg => !existing.some(key => key.alg === alg))
  if (missing.length === 0) return
  if (existing.length === 0 && (await store.one(countingUsers, {})) !== undefined)
    throw new KeyRingError(
      'the database has users but no signing keys. Restore the table signing_key from a backup; new keys would hide the loss',
    )
  const made = await Promise.all(
    missing.map(alg =>
      newSigningKey({ alg, rsaBits: options.rsaBits, box: options.box, now: options.now() }, 'active'),
    ),
  )
  try {
    await store.commit([changedFrom('key', version), ...made.map(one => one.write)])
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    // Another process was faster: its keys are there now.
  }
}

type Loaded = {
  signers: Map<SigningAlgorithm, SigningKey>
  published: Map<string, VerificationKey>
  retired: Map<string, VerificationKey>
  jwks: { body: Buffer; etag: string }
}

const isPublished = (row: KeyRow): boolean =>
  row.state === 'announced' || row.state === 'active' || row.state === 'retiring'

const load = (rows: KeyRow[], box: SecretBox): Loaded => {
  const loaded: Loaded = {
    signers: new Map(),
    published: new Map(),
    retired: new Map(),
    jwks: documentOf(rows),
  }
  for (const row of rows) {
    if (row.state === 'gone') continue
    const publicKey = createPublicKey({ key: JSON.parse(row.public_jwk) as JsonWebKey, format: 'jwk' })
    const key: VerificationKey = { kid: row.kid, alg: row.alg, state: row.state, publicKey }
    ;(isPublished(row) ? loaded.published : loaded.retired).set(row.kid, key)
    if (row.state === 'active') {
      const privateKey = createPrivateKey(box.open(row.private_box, row.kid))
      loaded.signers.set(row.alg, { kid: row.kid, alg: row.alg, privateKey })
    }
  }
  return loaded
}

const documentOf = (rows: KeyRow[]): Loaded['jwks'] => {
  const keys = rows.filter(isPublished).map(row => JSON.parse(row.public_jwk) as JsonWebKey)
  const body = Buffer.from(JSON.stringify({ keys }))
  return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }
}

/**
 * Reads the keys into memory.
 *
 * @throws KeyRingError when an active key cannot be decrypted or there is none
 */
export const openKeyRing = async (store: Store, box: SecretBox): Promise<KeyRing> => {
  let loaded: Loaded | undefined
  let generation = 0
  const current = (): Loaded => {
    if (!loaded) throw new KeyRingError('the signing keys are not loaded')
    return loaded
  }
  const reload = async (): Promise<void> => {
    const rows = await listKeys(store)
    if (!rows.some(row => row.state === 'active'))
      throw new KeyRingError('there is no active signing key in the database')
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
    generation: () => generation,
    reload,
  }
}
