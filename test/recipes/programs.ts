/** The proxies of the recipes, each started with the configuration that the recipe file itself holds. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { certificateFor } from '../support/reverse-proxy.ts'
import { freePort } from '../support/server.ts'

export type Place = {
  directory: string
  /** Where the proxy listens with https, and where with http. */
  port: number
  plainPort: number
  /** Where Lintel listens: `127.0.0.1:4321`, or the path of a socket file. */
  lintel: string
}

/** What a recipe has in places that are another machine's. */
const settle = (recipe: string, { directory, port, plainPort, lintel }: Place): string =>
  readFileSync(new URL(`../../docs/recipes/${recipe}`, import.meta.url), 'utf8')
    .replace(/^\s*#.*$/gm, '')
    .replaceAll(/(id|www)\.example\.com(?!\.pem)/g, 'localhost')
    .replaceAll(/\/etc\/letsencrypt\/live\/localhost|\/etc\/haproxy\/id\.example\.com(?=\.pem)/g, match =>
      match.startsWith('/etc/haproxy') ? join(directory, 'both') : directory,
    )
    .replaceAll('/var/www/html', join(directory, 'site'))
    .replaceAll('127.0.0.1:4000', lintel)
    .replaceAll('/run/lintel/lintel.sock', lintel)
    .replaceAll(/(?<=listen (\[::\]:)?|\*:|bind :)443\b/g, String(port))
    .replaceAll(/(?<=listen (\[::\]:)?|\*:)80\b/g, String(plainPort))

type Program = {
  /** Writes what the program wants around the recipe, and says how it is started. */
  command: (recipe: string, place: Place) => [command: string, ...words: string[]]
}

const written = (place: Place, name: string, text: string): string => {
  const path = join(place.directory, name)
  writeFileSync(path, text)
  return path
}

const root = userInfo().uid === 0

const nginx: Program = {
  command: (recipe, place) => [
    '/usr/sbin/nginx',
    '-c',
    written(
      place,
      'nginx.conf',
      `daemon off; worker_processes 1; pid ${place.directory}/pid; error_log stderr warn;
${root ? 'user root;' : ''} events {}
http { access_log off; ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map(one => `${one}_temp_path ${place.directory}/${one};`)
        .join(' ')}
${settle(recipe, place)} }`,
    ),
  ],
}

const apacheModules = ['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'ssl', 'headers', 'http2', 'alias']

const apache: Program = {
  command: (recipe, place) => [
    '/usr/sbin/apache2',
    '-D',
    'FOREGROUND',
    '-f',
    written(
      place,
      'apache2.conf',
      [
        `ServerRoot ${place.directory}`,
        `PidFile ${place.directory}/pid`,
        'ServerName localhost',
        `ErrorLog ${place.directory}/error.log`,
        ...apacheModules.map(name => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`),
        ...(root ? ['User nobody', 'Group nogroup'] : []),
        ...[place.port, place.plainPort].map(port => `Listen ${port}`),
        settle(recipe, place),
      ].join('\n'),
    ),
  ],
}

const caddy: Program = {
  command: (recipe, place) => [
    '/usr/bin/caddy',
    'run',
    '--adapter',
    'caddyfile',
    '--config',
    // Its own authority would go into the trust store of the machine: the certificate is ours.
    written(
      place,
      'Caddyfile',
      `{\nadmin off\nauto_https disable_redirects\nhttp_port ${place.plainPort}\nhttps_port ${place.port}\nstorage file_system ${place.directory}\n}\n${settle(
        recipe,
        place,
      ).replace(
        'localhost {',
        `localhost:${place.port} {\ntls ${place.directory}/fullchain.pem ${place.directory}/privkey.pem`,
      )}`,
    ),
  ],
}

const haproxy: Program = {
  command: (recipe, place) => [
    '/usr/sbin/haproxy',
    '-db',
    '-f',
    written(place, 'haproxy.cfg', settle(recipe, place)),
  ],
}

export const programs = { nginx, apache, caddy, haproxy }

export type RunningProxy = { place: Place; authority: string; said: () => string; stop: () => Promise<void> }

/** A place with a certificate, before anything runs in it. */
export const makeProxyPlace = async (lintel: (directory: string) => string) => {
  const directory = mkdtempSync(join(tmpdir(), 'lintel-recipe-'))
  const { cert, key, authority } = certificateFor('localhost')
  for (const [name, text] of [
    ['fullchain.pem', cert + authority],
    ['privkey.pem', key],
    ['both.pem', key + cert + authority],
    ['ca.pem', authority],
  ] as const)
    writeFileSync(join(directory, name), text)
  mkdirSync(join(directory, 'site'))
  const place: Place = {
    directory,
    port: await freePort(),
    plainPort: await freePort(),
    lintel: lintel(directory),
  }
  return { place, authority, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      resolve(true)
      socket.destroy()
    })
    socket.on('error', () => resolve(false))
  })

/** Starts a proxy and waits until it listens. */
export const startProxy = async (
  name: keyof typeof programs,
  recipe: string,
  place: Place,
): Promise<{ said: () => string; stop: () => Promise<void> }> => {
  const [command, ...words] = programs[name].command(recipe, place)
  const child: ChildProcess = spawn(command, words, {
    env: { PATH: process.env['PATH'], HOME: place.directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (said += String(chunk)))
  const ended = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
    child.once('error', error => {
      said += String(error)
      resolve()
    })
  })
  for (let tries = 0; !(await isOpen(place.port)); tries++) {
    if (child.exitCode !== null || said.includes('ENOENT') || tries > 500)
      throw new Error(`${name} did not start: ${said}`)
    await wait(20)
  }
  return {
    said: () => said,
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}
