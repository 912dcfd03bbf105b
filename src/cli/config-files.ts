/** The files that settings name: read and judged before anything starts, so that `serve` and `config check` agree. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Config, ConfigError } from '../config.ts'

/**
 * Reads the certificates.
 *
 * @returns warnings: what will start and yet not work for long
 * @throws ConfigError naming the setting and the file
 */
export const checkFiles = ({ tls, outbound }: Pick<Config, 'tls' | 'outbound'>): string[] => {
  if (outbound.ca !== undefined) readCertificate('LINTEL_OUTBOUND_CA', outbound.ca)
  if (tls.cert === undefined || tls.key === undefined) return []
  const certificate = readCertificate('LINTEL_TLS_CERT', tls.cert)
  const key = readKey('LINTEL_TLS_KEY', tls.key)
  if (!certificate.checkPrivateKey(key))
    throw new ConfigError(`LINTEL_TLS_KEY: ${tls.key} is not the key of the certificate in ${tls.cert}`)
  return new Date(certificate.validTo) < new Date()
    ? [`LINTEL_TLS_CERT: the certificate in ${tls.cert} has ended on ${certificate.validTo}`]
    : []
}

const readNamed = (setting: string, path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigError(
      `${setting}: cannot read ${path}: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    )
  }
}

const readCertificate = (setting: string, path: string): X509Certificate => {
  const text = readNamed(setting, path)
  try {
    return new X509Certificate(text)
  } catch (cause) {
    throw new ConfigError(`${setting}: ${path} holds no certificate in PEM form`, { cause })
  }
}

const readKey = (setting: string, path: string) => {
  const text = readNamed(setting, path)
  try {
    return createPrivateKey(text)
  } catch (cause) {
    throw new ConfigError(`${setting}: ${path} holds no private key in PEM form without a passphrase`, {
      cause,
    })
  }
}
