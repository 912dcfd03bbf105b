import { describe, expect, it } from 'vitest'
import { emailFault, identifierKey, usernameFault } from '../../src/identity/identifier.ts'

describe('the key that names are compared by', () => {
  it('SEC-077 is one for every spelling of a name', () => {
    const spellings: string[][] = [
      ['alice', 'ALICE', 'Alice', ' alice', 'alice ', '\talice\n', 'ａｌｉｃｅ', '\ufeffalice'],
      ['álice', 'a\u0301lice', 'ÁLICE', 'A\u0301LICE'],
      ['ﬁona', 'fiona'],
      ['ὀδυσσεύς', 'ὈΔΥΣΣΕΎΣ'],
      ['alice@corp.test', 'Alice@CORP.test'],
      ['①②③', '123'],
    ]
    for (const names of spellings) expect(new Set(names.map(identifierKey)).size, names.join()).toBe(1)
  })

  it('SEC-077 is another for a name that only looks like it', () => {
    for (const other of ['аlice', 'alicе', 'alice\u200d', 'al\u00adice', 'alice.', 'a lice', 'alıce'])
      expect(identifierKey(other), other).not.toBe('alice')
  })

  it('is its own key, and holds no NUL, which PostgreSQL takes in no text', () => {
    for (const name of ['ÁLICE', 'Straße', 'İstanbul', 'ΣΊΣΥΦΟΣ', 'a\0b', '\0', 'ﷺ', '½']) {
      const key = identifierKey(name)
      expect(identifierKey(key), name).toBe(key)
      expect(key, name).not.toContain('\0')
    }
  })
})

describe('what is wrong with a user name', () => {
  const cases: [string, ReturnType<typeof usernameFault>][] = [
    ['', 'required'],
    ['   ', 'required'],
    ['\u3000', 'required'],
    ['a', undefined],
    ['alice', undefined],
    [' alice ', undefined],
    ["o'hara", undefined],
    ['alice@corp.test', undefined],
    ['алиса', undefined],
    ['爱丽丝', undefined],
    ['アリス愛', undefined],
    ['x'.repeat(100), undefined],
    ['x'.repeat(101), 'too_long'],
    ['alice liddell', 'unseen_characters'],
    ['ali\u00a0ce', 'unseen_characters'],
    ['ali\u200bce', 'unseen_characters'],
    ['alice\u200d', 'unseen_characters'],
    ['ali\u202ece', 'unseen_characters'],
    ['ali\u00adce', 'unseen_characters'],
    ['ali\0ce', 'unseen_characters'],
    ['ali\nce', 'unseen_characters'],
    ['ali\u{e0041}ce', 'unseen_characters'],
    ['ali\ufe0fce', 'unseen_characters'],
    ['ali\u3164ce', 'unseen_characters'],
    ['ali\uffffce', 'unseen_characters'],
    ['аlice', 'mixed_scripts'],
    ['alicе', 'mixed_scripts'],
    ['αlice', 'mixed_scripts'],
    ['alice-алиса', 'mixed_scripts'],
  ]
  for (const [username, fault] of cases)
    it(`SEC-077 ${JSON.stringify(username.slice(0, 20))} is ${fault ?? 'fine'}`, () => {
      expect(usernameFault(username)).toBe(fault)
    })
})

it('SEC-088 an e-mail address has one @, and nothing that a header or a list would read', () => {
  for (const email of [
    'a@b.test',
    'a.b+c@sub.corp.test',
    "o'hara@corp.test",
    'ü@bücher.test',
    'root@localhost',
  ])
    expect(emailFault(email), email).toBeUndefined()
  for (const email of [
    '',
    'a',
    '@b.test',
    'a@',
    'a@b',
    'a@b@c.test',
    'a b@c.test',
    'a@b.test\r\nBcc: x@evil.test',
    'a@b.test\n',
    'a\0@b.test',
    'a@b.test,c@d.test',
    'a@b.test;c@d.test',
    '<a@b.test>',
    '"a"@b.test',
    'a@[127.0.0.1]',
    'a@b.test\u200b',
    `${'x'.repeat(65)}@b.test`,
    `a@${'b'.repeat(250)}.test`,
  ])
    expect(emailFault(email), email).toBe('email_form')
})
