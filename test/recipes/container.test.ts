/** No container engine runs here: the form of what it would run is checked, and its steps are run without one. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { parse } from 'yaml'
import { freePort } from '../support/server.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')

/** The instructions of a stage: `[RUN, npm ci]`. */
const instructions = (stage: 'build' | 'last'): [word: string, rest: string][] => {
  const lines = textOf('Containerfile')
    .replace(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => /^(\w+)\s+(.*)$/.exec(line) ?? [])
    .map(([, word = '', rest = '']) => [word, rest] as [string, string])
  const second = lines.findLastIndex(([word]) => word === 'FROM')
  return stage === 'build' ? lines.slice(0, second) : lines.slice(second)
}

const having = (stage: 'build' | 'last', word: string): string[] =>
  instructions(stage)
    .filter(([one]) => one === word)
    .map(([, rest]) => rest)

/** What `.containerignore` lets through: everything is left out first. */
const context = (): string[] =>
  textOf('.containerignore')
    .split('\n')
    .filter(line => line.startsWith('!'))
    .map(line => line.slice(1))

describe('the Containerfile', () => {
  it('copies only what there is, and all that the package names', () => {
    for (const path of context()) expect(existsSync(join(root, path)), path).toBe(true)
    for (const path of having('build', 'COPY').flatMap(rest => rest.split(' ').slice(0, -1)))
      if (path !== '.') expect(context(), path).toContain(path)
    const { files } = JSON.parse(textOf('package.json')) as { files: string[] }
    const copied = having('last', 'COPY').map(rest => /^--from=build \/app\/(\S+) \.\/\1?$/.exec(rest)?.[1])
    expect(copied).toEqual(expect.arrayContaining([...files, 'package.json', 'node_modules']))
    for (const path of copied)
      if (path !== 'dist' && path !== 'node_modules') expect(context(), path).toContain(path)
  })

  it('runs as nobody in particular, with one port, one volume and a health check', () => {
    expect(having('last', 'USER')).toEqual(['10001:10001'])
    expect(having('last', 'EXPOSE')).toEqual(['4000'])
    expect(having('last', 'VOLUME')).toEqual(['/data'])
    expect(having('last', 'HEALTHCHECK')[0]).toMatch(
      /CMD \["node", "\/app\/bin\/lintel\.js", "healthcheck"\]$/,
    )
    // Node itself is process 1: signals reach it.
    expect(having('last', 'ENTRYPOINT')).toEqual(['["node", "/app/bin/lintel.js"]'])
  })

  it.runIf(process.env['LINTEL_TEST_LONG'])(
    'its steps make a tree that serves: no compiler, nothing written but /data, another user',
    async () => {
      const place = mkdtempSync(join(tmpdir(), 'lintel-container-'))
      onTestFinished(() => rmSync(place, { recursive: true, force: true }))
      const [source, image, data] = ['source', 'image', 'data'].map(name => join(place, name)) as [
        string,
        string,
        string,
      ]
      for (const directory of [source, image, data]) mkdirSync(directory)
      for (const path of context()) cpSync(join(root, path), join(source, path), { recursive: true })
      for (const step of having('build', 'RUN'))
        execFileSync('sh', ['-c', step], { cwd: source, stdio: 'pipe' })
      expect(existsSync(join(source, 'node_modules', 'typescript'))).toBe(false)
      for (const copy of having('last', 'COPY')) {
        const path = /\/app\/(\S+)/.exec(copy)?.[1] ?? ''
        cpSync(join(source, path), join(image, path), { recursive: true, verbatimSymlinks: true })
      }
      const nobody = userInfo().uid === 0 ? { uid: 10001, gid: 10001 } : {}
      if (nobody.uid) chownSync(data, nobody.uid, nobody.gid)
      chmodSync(place, 0o755)
      const port = await freePort()
      const options = {
        cwd: image,
        env: {
          PATH: process.env['PATH'],
          NODE_ENV: 'production',
          LINTEL_ISSUER: `http://localhost:${port}`,
          LINTEL_LISTEN: `0.0.0.0:${port}`,
          LINTEL_DATA: data,
        },
        ...nobody,
      }
      const bin = join(image, 'bin', 'lintel.js')
      const server = spawn(process.execPath, [bin, 'serve'], options)
      onTestFinished(() => void server.kill('SIGKILL'))
      let said = ''
      for (const stream of [server.stdout, server.stderr]) stream.on('data', chunk => (said += String(chunk)))
      await vi.waitFor(() => expect(said).toContain('server.started'), { timeout: 60_000 })
      expect(spawnSync(process.execPath, [bin, 'healthcheck'], options).status, said).toBe(0)
      const answer = await fetch(`http://127.0.0.1:${port}/.well-known/openid-configuration`)
      expect(answer.status).toBe(200)
      expect(readdirSync(data)).toContain('lintel.db')
      server.kill('SIGTERM')
      await vi.waitFor(() => expect(server.exitCode).toBe(0), { timeout: 60_000 })
    },
    900_000,
  )
})

describe('docs/recipes', () => {
  type Compose = {
    services: Record<string, { secrets?: string[]; environment?: Record<string, string>; networks?: unknown }>
    secrets: Record<string, { file: string }>
    networks: Record<string, unknown>
    volumes: Record<string, unknown>
  }

  it('compose.yaml: every secret and network that a service names is there, and no secret is in the environment', () => {
    const compose = parse(textOf('docs/recipes/compose.yaml')) as Compose
    for (const [name, service] of Object.entries(compose.services)) {
      for (const secret of service.secrets ?? []) expect(Object.keys(compose.secrets), name).toContain(secret)
      const networks = Array.isArray(service.networks)
        ? service.networks
        : Object.keys(service.networks ?? {})
      for (const network of networks) expect(Object.keys(compose.networks), name).toContain(network)
      for (const [variable, value] of Object.entries(service.environment ?? {}))
        if (/KEY|PASSWORD|DATABASE_URL/.test(variable)) {
          expect(variable).toMatch(/_FILE$/)
          expect(service.secrets, variable).toContain(value.replace('/run/secrets/', ''))
        }
    }
    const lintel = compose.services['lintel']
    expect(lintel).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    })
    const subnet = /subnet: (\S+)/.exec(textOf('docs/recipes/compose.yaml'))?.[1]
    expect(lintel?.environment?.['LINTEL_TRUSTED_PROXIES']).toBe(subnet)
  })

  it('traefik.yml: every router leads to a service that is there', () => {
    type Dynamic = {
      http: {
        routers: Record<string, { rule: string; service: string }>
        services: Record<string, { loadBalancer: { servers: { url: string }[] } }>
      }
    }
    const { http } = parse(textOf('docs/recipes/traefik.yml')) as Dynamic
    for (const { rule, service } of Object.values(http.routers)) {
      expect(Object.keys(http.services)).toContain(service)
      expect(rule.split('(').length, rule).toBe(rule.split(')').length)
    }
    for (const { loadBalancer } of Object.values(http.services))
      for (const { url } of loadBalancer.servers) expect(URL.canParse(url), url).toBe(true)
  })

  it('lintel.service: hands secrets over as credentials, and passes systemd-analyze verify where there is one', () => {
    const unit = textOf('docs/recipes/lintel.service')
    for (const [, credential = ''] of unit.matchAll(/^#?Environment=\w+_FILE=%d\/(\S+)$/gm))
      expect(unit).toMatch(new RegExp(`^#?LoadCredential=${credential}:`, 'm'))
    const verify = spawnSync(
      'systemd-analyze',
      ['verify', '--man=no', join(root, 'docs/recipes/lintel.service')],
      {
        encoding: 'utf8',
      },
    )
    if (process.env['LINTEL_TEST_LONG']) expect(verify.error).toBeUndefined()
    // Where Node lies on the machine of the test is no matter of the unit.
    const told = (verify.stderr ?? '')
      .split('\n')
      .filter(line => /lintel/.test(line) && !/not executable/.test(line))
    expect(told).toEqual([])
  })
})
