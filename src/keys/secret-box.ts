/** Encryption at rest: AES-256-GCM under a master key that never lies in the database. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'

export type SecretBox = {
  /**
   * Encrypts a text.
   *
   * @param context what it belongs to (a key id, say); the same must be given to open it
   */
  seal: (text: string, context: string) => string
  /** @throws SecretBoxError when no master key opens it or it was changed */
  open: (box: string, context: string) => string
  /** Whether a box is under the first master key, as all are after `lintel keys reencrypt`. */
  isCurrent: (box: string) => boolean
  /** A key derived for another purpose, and the name of the master key it comes from. */
  derive: (purpose: string, masterKeyName?: string) => { key: Buffer; masterKeyName: string }
}

/** The master key is not the one that encrypted what lies in the database. */
export class SecretBoxError extends Error {
  override name = 'SecretBoxError'
}

type MasterKey = { name: string; boxKey: Buffer; secret: Buffer }

const derived = (secret: Buffer, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `lintel ${purpose}`, 32))

/** Makes the box of these master keys: the first encrypts, all decrypt. */
export const makeSecretBox = (masterKeys: readonly Buffer[]): SecretBox => {
  const keys: MasterKey[] = masterKeys.map(secret => ({
    name: createHash('sha256').update('lintel master key').update(secret).digest('hex').slice(0, 8),
    boxKey: derived(secret, 'secret box'),
    secret,
  }))
  const first = keys[0]
  if (!first) throw new SecretBoxError('there is no master key')
  const named = (name: string): MasterKey => {
    const key = keys.find(one => one.name === name)
    if (!key) throw new SecretBoxError(`no configured master key is ${name}, which encrypted this database`)
    return key
  }
  return {
    seal: (text, context) => {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', first.boxKey, nonce).setAAD(Buffer.from(context))
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return [
        '1',
        first.name,
        ...[nonce, sealed, cipher.getAuthTag()].map(part => part.toString('base64url')),
      ].join('.')
    },
    open: (box, context) => {
      const [version, name = '', nonce = '', sealed = '', tag = ''] = box.split('.')
      if (version !== '1') throw new SecretBoxError('an encrypted value has an unknown form')
      try {
        const decipher = createDecipheriv(
          'aes-256-gcm',
          named(name).boxKey,
          Buffer.from(nonce, 'base64url'),
          {
            authTagLength: 16,
          },
        )
        decipher.setAAD(Buffer.from(context)).setAuthTag(Buffer.from(tag, 'base64url'))
        return Buffer.concat([decipher.update(Buffer.from(sealed, 'base64url')), decipher.final()]).toString(
          'utf8',
        )
      } catch (cause) {
        if (cause instanceof SecretBoxError) throw cause
        throw new SecretBoxError('an encrypted value was changed, or belongs to something else', { cause })
      }
    },
    isCurrent: box => box.startsWith(`1.${first.name}.`),
    derive: (purpose, masterKeyName = first.name) => ({
      key: derived(named(masterKeyName).secret, purpose),
      masterKeyName,
    }),
  }
}
