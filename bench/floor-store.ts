/** The floor's tables, its statements and its `commit`: the storage of Lintel's design (one joined read, one grouped commit a request). */
import Database, { type Statement } from 'better-sqlite3'

export type Write = { statement: Statement; values: unknown[] }

const schema = `
CREATE TABLE user (id TEXT PRIMARY KEY, sub TEXT NOT NULL UNIQUE, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE browser (id TEXT PRIMARY KEY, secret_hash BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE session (id TEXT PRIMARY KEY, browser_id TEXT NOT NULL, user_id TEXT NOT NULL, auth_time INTEGER NOT NULL,
  ended_at INTEGER) WITHOUT ROWID;
CREATE INDEX session_browser ON session (browser_id);
CREATE INDEX session_user ON session (user_id);
CREATE TABLE consent (user_id TEXT NOT NULL, client_id TEXT NOT NULL, scope TEXT NOT NULL, PRIMARY KEY (user_id, client_id)) WITHOUT ROWID;
CREATE TABLE authorization (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, client_id TEXT NOT NULL, session_id TEXT NOT NULL,
  scope TEXT NOT NULL, auth_time INTEGER NOT NULL, revoked_at INTEGER) WITHOUT ROWID;
CREATE INDEX authorization_session ON authorization (session_id);
CREATE INDEX authorization_user ON authorization (user_id, client_id);
CREATE TABLE code (id TEXT PRIMARY KEY, authorization_id TEXT NOT NULL, secret_hash BLOB NOT NULL, challenge TEXT NOT NULL,
  nonce TEXT, redirect_uri TEXT NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER) WITHOUT ROWID;
CREATE TABLE refresh_family (id TEXT PRIMARY KEY, authorization_id TEXT NOT NULL, seed BLOB NOT NULL, generation INTEGER NOT NULL,
  rotated_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX refresh_family_authorization ON refresh_family (authorization_id);
CREATE TABLE revoked (jti TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID;`

export type Owner = { authorization: string; sub: string; session: string; scope: string; auth_time: number }
type SignedIn = { user: string; session: string; secret_hash: Buffer; auth_time: number }
type Presented = { email: string; name: string; sub: string; revoked: string | null }

export function openStore(file: string) {
  const database = new Database(file)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.exec(schema)
  const write = (sql: string) => {
    const statement = database.prepare(sql)
    return (...values: unknown[]): Write => ({ statement, values })
  }
  const find = <Row>(sql: string) => {
    const statement = database.prepare<unknown[], Row>(sql)
    return (...values: unknown[]) => statement.get(values)
  }
  const owner = `a.id AS authorization, a.scope, a.auth_time, a.session_id AS session, u.sub`
  const withOwner = `JOIN authorization a ON a.id = authorization_id JOIN user u ON u.id = a.user_id`
  return {
    commit: groupedCommit(database),
    findSignedIn:
      find<SignedIn>(`SELECT s.id AS session, b.secret_hash, s.auth_time, s.user_id AS user, c.scope
      FROM browser b JOIN session s ON s.browser_id = b.id AND s.ended_at IS NULL JOIN user u ON u.id = s.user_id
      LEFT JOIN consent c ON c.user_id = u.id AND c.client_id = ? WHERE b.id = ?`),
    findCode: find<Owner & { secret_hash: Buffer; challenge: string; nonce: string }>(
      `SELECT c.secret_hash, c.challenge, c.nonce, ${owner} FROM code c ${withOwner} WHERE c.id = ?`,
    ),
    findFamily: find<Owner & { seed: Buffer; generation: number }>(`SELECT f.seed, f.generation, ${owner}
      FROM refresh_family f ${withOwner} JOIN session s ON s.id = a.session_id WHERE f.id = ?`),
    findPresented: find<Presented>(`SELECT u.email, u.name, u.sub, r.jti AS revoked FROM authorization a
      JOIN user u ON u.id = a.user_id LEFT JOIN revoked r ON r.jti = ? WHERE a.id = ? AND a.revoked_at IS NULL`),
    addUser: write('INSERT INTO user VALUES (?, ?, ?, ?)'),
    addBrowser: write('INSERT INTO browser VALUES (?, ?)'),
    addSession: write('INSERT INTO session VALUES (?, ?, ?, ?, NULL)'),
    addConsent: write('INSERT INTO consent VALUES (?, ?, ?)'),
    addAuthorization: write('INSERT INTO authorization VALUES (?, ?, ?, ?, ?, ?, NULL)'),
    addCode: write('INSERT INTO code VALUES (?, ?, ?, ?, ?, ?, ?, NULL)'),
    takeCode: write('UPDATE code SET used_at = ? WHERE id = ? AND used_at IS NULL'),
    addFamily: write('INSERT INTO refresh_family VALUES (?, ?, ?, 1, ?, ?)'),
    rotate: write('UPDATE refresh_family SET generation = ?, rotated_at = ? WHERE id = ? AND generation = ?'),
  }
}

/** Commits of one turn share a transaction, a savepoint each; a commit is answered when it is on disk. */
function groupedCommit(database: Database.Database) {
  const begin = database.prepare('BEGIN IMMEDIATE')
  const savepoint = database.prepare('SAVEPOINT one')
  const rollbackTo = database.prepare('ROLLBACK TO one')
  const release = database.prepare('RELEASE one')
  const end = database.prepare('COMMIT')
  let waiting: { writes: Write[]; settle: (held: boolean) => void }[] = []

  function flush() {
    const group = waiting
    waiting = []
    begin.run()
    const held = group.map(({ writes }) => {
      savepoint.run()
      const all = writes.every(({ statement, values }) => statement.run(values).changes === 1)
      if (!all) rollbackTo.run()
      release.run()
      return all
    })
    end.run()
    for (const [index, { settle }] of group.entries()) settle(held[index] === true)
  }

  return (...writes: Write[]) =>
    new Promise<boolean>(settle => {
      if (waiting.push({ writes, settle }) === 1) setImmediate(flush)
    })
}
