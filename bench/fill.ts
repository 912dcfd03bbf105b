/** Fills the tables of a Lintel on SQLite, as after years of use, before it starts. */
import { createHash } from 'node:crypto'
import Sqlite from 'better-sqlite3'
import { newTextKey } from '../src/store/text-key.ts'

/** So many of the browsers are ones whose cookie we know: spread evenly over the table, for one user each. */
const visitors = 2_048

/** Coprime to every size, so that users and what belongs to them are not in the same order. */
const stride = 48_271

type Filling = { rows: number; clientId: string; cookieName: string }

/**
 * So many rows in every table that grows with use.
 *
 * @returns the cookie headers of browsers that are signed in
 */
export function fill(file: string, { rows, clientId, cookieName }: Filling): readonly string[] {
  const database = new Sqlite(file)
  try {
    // Nothing but us reads it yet; the server turns it back. Made anew in one go, the indexes are as compact as those of a backup.
    database.pragma('journal_mode = DELETE')
    database.pragma('synchronous = OFF')
    database.pragma('cache_size = -262144')
    const now = new Date()
    const at = Math.floor(now.getTime() / 1000)
    // Keys in time order, all of one millisecond: below every key that the server is going to make.
    const keyStart = newTextKey(now).slice(0, 9)
    const key = (number: number) => keyStart + String(number).padStart(11, '0')
    const numbers = { rows, at, keyStart, clientId, stride }
    database.transaction(() => {
      const indexes = database
        .prepare<unknown[], { name: string; sql: string }>(
          "select name, sql from sqlite_master where type = 'index' and sql is not null",
        )
        .all()
      for (const { name } of indexes) database.exec(`drop index "${name}"`)
      for (const [table, columns] of Object.entries(tables))
        database
          .prepare(
            `with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < :rows)
             insert into "${table}" (${Object.keys(columns).join(', ')}) select ${Object.values(columns).join(', ')} from n`,
          )
          .run(numbers)
      for (const { sql } of indexes) database.exec(sql)
      // Sealed long ago: else the server would seal them all in its first second.
      database
        .prepare(
          `insert into audit_seal (id, last_id, sealed_at, seal)
           select (select coalesce(max(id), 0) + 1 from audit_seal), max(id), ?, ? from audit`,
        )
        .run(at, 's'.repeat(43))
      const hash = createHash('sha256').update(secret).digest('base64url')
      const know = database.prepare('update browser set secret_hash = ? where id = ?')
      for (const number of visiting(rows)) know.run(hash, key(number))
    })()
    return visiting(rows).map(number => `Cookie: ${cookieName}=lnb${key(number)}${secret}\r\n`)
  } finally {
    database.close()
  }
}

const secret = '0'.repeat(52)

/** Even ones: their session has not ended. */
const visiting = (rows: number) =>
  Array.from({ length: visitors }, (_, one) => 2 * Math.floor((one * rows) / 2 / visitors))

const keyOf = (number: string) => `:keyStart || printf('%011d', ${number})`
const ownKey = keyOf('i')
const user = keyOf('(i * :stride) % :rows')
const hash = 'substr(hex(randomblob(22)), 1, 43)'

/** Each column as an expression over `i`, which counts the rows. A session in four has ended; an authorization in four is offline. */
const tables: Record<string, Record<string, string>> = {
  user: {
    id: ownKey,
    sub: 'lower(hex(randomblob(16)))',
    username: "'person-' || i",
    username_key: "'person-' || i",
    email: "'person-' || i || '@people.example'",
    email_key: "'person-' || i || '@people.example'",
    email_verified: '1',
    name: "'Person ' || i",
    claims: `'{"given_name":"Person","family_name":"' || i || '","locale":"en"}'`,
    created_at: ':at',
    updated_at: ':at',
  },
  password: {
    user_id: ownKey,
    hash: `'$argon2id$v=19$m=19456,t=2,p=1$' || ${hash} || ${hash}`,
    changed_at: ':at',
  },
  browser: { id: ownKey, secret_hash: hash, active_session_id: ownKey, created_at: ':at' },
  session: {
    id: ownKey,
    browser_id: ownKey,
    user_id: user,
    auth_time: ':at',
    amr: `'["pwd"]'`,
    acr: "'1'",
    ip: `'192.0.2.' || (i % 256)`,
    user_agent: `'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'`,
    idle_ttl: '43200',
    created_at: ':at',
    seen_at: ':at',
    expires_at: ':at + 43200',
    ended_at: 'case i % 4 when 1 then :at end',
    end_reason: "case i % 4 when 1 then 'signed_out' end",
  },
  consent: { user_id: ownKey, client_id: ':clientId', scope: "'openid profile email'", given_at: ':at' },
  session_client: { session_id: ownKey, client_id: ':clientId', first_at: ':at' },
  authorization: {
    id: ownKey,
    user_id: user,
    client_id: ':clientId',
    session_id: ownKey,
    scope: "'openid profile email'",
    asked_scope: "''",
    resources: "'[]'",
    details: "'{}'",
    offline: 'case i % 4 when 3 then 1 else 0 end',
    auth_time: ':at',
    amr: `'["pwd"]'`,
    acr: "'1'",
    expires_at: ':at + 2592000',
  },
  code: {
    id: ownKey,
    secret_hash: hash,
    authorization_id: ownKey,
    client_id: ':clientId',
    redirect_uri: "'https://app.bench.example/callback'",
    code_challenge: hash,
    nonce: "'a-nonce-of-some-length'",
    expires_at: ':at + 60',
    used_at: ':at',
  },
  refresh_family: {
    id: ownKey,
    authorization_id: ownKey,
    client_id: ':clientId',
    seed: 'lower(hex(randomblob(26)))',
    generation: 'i % 50',
    rotated_at: ':at',
    expires_at: ':at + 2592000',
  },
  audit: {
    time: ':at',
    event: "'login.succeeded'",
    request_id: 'lower(hex(randomblob(12)))',
    client_id: ':clientId',
    user_id: user,
    ip: `'192.0.2.' || (i % 256)`,
    detail: `'{"amr":["pwd"]}'`,
  },
}
