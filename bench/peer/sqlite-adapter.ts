/** oidc-provider's adapter on SQLite, as durable as Lintel: WAL and `synchronous=FULL`, prepared statements, a table for each model. */
import Database from 'better-sqlite3'

type Payload = { grantId?: string; userCode?: string; uid?: string } & Record<string, unknown>
type Row = { payload: string; consumed_at: number | null; expires_at: number | null }

export function openAdapter(file: string) {
  const database = new Database(file)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  const grantMembers = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode', 'BackchannelAuthenticationRequest'])

  return class SqliteAdapter {
    readonly #upsert
    readonly #find
    readonly #findByUid
    readonly #findByUserCode
    readonly #consume
    readonly #destroy
    readonly #revoke

    constructor(model: string) {
      const table = `"${model}"`
      database.exec(`CREATE TABLE IF NOT EXISTS ${table} (id TEXT PRIMARY KEY, payload TEXT NOT NULL, grant_id TEXT, user_code TEXT, uid TEXT,
        expires_at INTEGER, consumed_at INTEGER) WITHOUT ROWID`)
      if (grantMembers.has(model)) database.exec(`CREATE INDEX IF NOT EXISTS "${model}_grant" ON ${table} (grant_id)`)
      if (model === 'Session') database.exec(`CREATE INDEX IF NOT EXISTS "${model}_uid" ON ${table} (uid)`)
      const columns = 'payload, consumed_at, expires_at'
      this.#upsert = database.prepare(`INSERT INTO ${table} (id, payload, grant_id, user_code, uid, expires_at) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at`)
      this.#find = database.prepare<[string], Row>(`SELECT ${columns} FROM ${table} WHERE id = ?`)
      this.#findByUid = database.prepare<[string], Row>(`SELECT ${columns} FROM ${table} WHERE uid = ?`)
      this.#findByUserCode = database.prepare<[string], Row>(`SELECT ${columns} FROM ${table} WHERE user_code = ?`)
      this.#consume = database.prepare(`UPDATE ${table} SET consumed_at = ? WHERE id = ?`)
      this.#destroy = database.prepare(`DELETE FROM ${table} WHERE id = ?`)
      this.#revoke = database.prepare(`DELETE FROM ${table} WHERE grant_id = ?`)
    }

    async upsert(id: string, payload: Payload, expiresIn?: number) {
      const expiresAt = expiresIn === undefined ? null : now() + expiresIn
      this.#upsert.run(id, JSON.stringify(payload), payload.grantId ?? null, payload.userCode ?? null, payload.uid ?? null, expiresAt)
    }
    async find(id: string) {
      return parse(this.#find.get(id))
    }
    async findByUid(uid: string) {
      return parse(this.#findByUid.get(uid))
    }
    async findByUserCode(userCode: string) {
      return parse(this.#findByUserCode.get(userCode))
    }
    async consume(id: string) {
      this.#consume.run(now(), id)
    }
    async destroy(id: string) {
      this.#destroy.run(id)
    }
    async revokeByGrantId(grantId: string) {
      this.#revoke.run(grantId)
    }
  }
}

function parse(row: Row | undefined) {
  if (!row || (row.expires_at !== null && row.expires_at <= now())) return undefined
  const payload: Payload = JSON.parse(row.payload)
  return row.consumed_at === null ? payload : { ...payload, consumed: row.consumed_at }
}

function now() {
  return Math.floor(Date.now() / 1000)
}
