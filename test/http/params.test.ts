import { describe, expect, it } from 'vitest'
import { Params } from '../../src/http/params.ts'
import { Refusal } from '../../src/http/refusal.ts'

const refusal = (run: () => unknown): { status: number; error: string; description: string } | undefined => {
  try {
    run()
    return undefined
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown
    return { status: thrown.status, error: thrown.error, description: thrown.description }
  }
}

describe('parameters', () => {
  it('without a value count as omitted (RFC 6749 §3.1)', () => {
    const params = Params.parse('a=&b=1&c&=x')
    expect(params.has('a')).toBe(false)
    expect(params.get('a')).toBeUndefined()
    expect(params.get('b')).toBe('1')
    expect(params.has('c')).toBe(false)
    expect(refusal(() => params.need('a'))).toMatchObject({ status: 400, error: 'invalid_request' })
  })

  it('SEC-108 sent more than once are refused, resource and audience aside', () => {
    const params = Params.parse('a=1&a=1&resource=x&resource=y&audience=x&audience=y&b=1&b=')
    expect(refusal(() => params.get('a'))).toMatchObject({ error: 'invalid_request' })
    expect(refusal(() => params.need('a'))).toMatchObject({ error: 'invalid_request' })
    expect(params.all('a')).toEqual(['1', '1'])
    expect(params.repeated()).toEqual(['a'])
    expect(refusal(() => params.refuseRepeated())?.description).toContain('a was sent more than once')
    expect(params.get('b')).toBe('1')
    expect(params.all('resource')).toEqual(['x', 'y'])
    expect(Params.parse('resource=x&resource=y').repeated()).toEqual([])
  })

  it('SEC-110 named like parts of an object are names like any other', () => {
    const params = Params.parse('__proto__=1&constructor=2&hasOwnProperty=3&toString=4&a[]=5&scope[$ne]=6')
    expect(params.get('__proto__')).toBe('1')
    expect(params.get('constructor')).toBe('2')
    expect(params.get('hasOwnProperty')).toBe('3')
    expect(params.get('a')).toBeUndefined()
    expect(params.get('scope')).toBeUndefined()
    expect(Params.parse('').get('__proto__')).toBeUndefined()
    expect(Params.parse('').get('toString')).toBeUndefined()
    expect(Params.parse('').has('constructor')).toBe(false)
    expect(({} as Record<string, unknown>)['isAdmin']).toBeUndefined()
  })

  it('SEC-111 are a hundred at most, and names are not repeated at length', () => {
    const many = (count: number): string =>
      Array.from({ length: count }, (_, index) => `p${index}=1`).join('&')
    expect(refusal(() => Params.parse(many(100)))).toBeUndefined()
    expect(refusal(() => Params.parse(many(101)))).toMatchObject({ status: 400, error: 'invalid_request' })
    const startedAt = performance.now()
    expect(refusal(() => Params.parse(many(20_000)))).toMatchObject({ status: 400 })
    expect(performance.now() - startedAt).toBeLessThan(500)
    const long = 'n'.repeat(10_000)
    const said = refusal(() => Params.parse(`${long}=1&${long}=2`).refuseRepeated())
    expect(said?.description.length).toBeLessThan(200)
  })

  it('are decoded once, as forms are', () => {
    const params = Params.parse('a=%2525&b=x+y&c=%zz&d=%e9&e=%00&f=a%26b%3Dc&%61g=1')
    expect(params.get('a')).toBe('%25')
    expect(params.get('b')).toBe('x y')
    expect(params.get('c')).toBe('%zz')
    expect(params.get('d')).toBe('\ufffd')
    expect(params.get('e')).toBe('\0')
    expect(params.get('f')).toBe('a&b=c')
    expect(params.get('ag')).toBe('1')
  })
})
