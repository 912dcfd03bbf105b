/** X.509 certificates made on the spot, so that no private key lies in the repository and none expires. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

const tlv = (tag: number, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  const length =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}
const sequence = (...parts: Buffer[]): Buffer => tlv(0x30, ...parts)
const oid = (...bytes: number[]): Buffer => tlv(0x06, Buffer.from(bytes))
const bits = (bytes: Buffer): Buffer => tlv(0x03, Buffer.from([0]), bytes)
const generalizedTime = (time: Date): Buffer =>
  tlv(0x18, Buffer.from(`${time.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`))

const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
const nameOf = (commonName: string): Buffer =>
  sequence(tlv(0x31, sequence(oid(0x55, 0x04, 0x03), tlv(0x0c, Buffer.from(commonName)))))

export type Authority = { name: string; key: KeyObject; cert: string }
export type Certificate = { cert: string; key: string }

const day = 86_400_000
const pem = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`

const makeCertificate = (
  subject: string,
  publicKey: KeyObject,
  issuer: { name: string; key: KeyObject },
  { hosts, from, to }: { hosts?: string[]; from: Date; to: Date },
): string => {
  const extension = hosts
    ? sequence(oid(0x55, 0x1d, 0x11), tlv(0x04, sequence(...hosts.map(host => tlv(0x82, Buffer.from(host))))))
    : sequence(
        oid(0x55, 0x1d, 0x13),
        tlv(0x01, Buffer.from([0xff])),
        tlv(0x04, sequence(tlv(0x01, Buffer.from([0xff])))),
      )
  const content = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    nameOf(issuer.name),
    sequence(generalizedTime(from), generalizedTime(to)),
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(extension)),
  )
  return pem(sequence(content, ecdsaWithSha256, bits(sign('sha256', content, issuer.key))))
}

/** An authority that signs certificates. */
export const makeAuthority = (name = 'Test authority'): Authority => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const life = { from: new Date(Date.now() - day), to: new Date(Date.now() + 10 * day) }
  return { name, key: privateKey, cert: makeCertificate(name, publicKey, { name, key: privateKey }, life) }
}

/** A server's certificate for these hosts; signed by itself without an authority. */
export const makeServerCertificate = (
  hosts: string[],
  authority?: Authority,
  {
    from = new Date(Date.now() - day),
    to = new Date(Date.now() + 10 * day),
  }: { from?: Date; to?: Date } = {},
): Certificate => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = hosts[0] ?? ''
  const issuer = authority ?? { name: subject, key: privateKey }
  return {
    cert: makeCertificate(subject, publicKey, issuer, { hosts, from, to }),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}
