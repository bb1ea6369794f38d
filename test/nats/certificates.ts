import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** For a test's `skip` option: false when certificates can be made here, else the reason to skip. */
export const unlessOpenssl: string | false = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'needs the openssl command'
  }
})()

/** Paths of an authority, and of what it signed for the server on 127.0.0.1 and for a client. */
export interface Certificates {
  readonly ca: string
  readonly serverCert: string
  readonly serverKey: string
  readonly clientCert: string
  readonly clientKey: string
}

/** What is unusual about the server's certificate. */
export interface ServerCertificate {
  /** @default 'IP:127.0.0.1' */
  readonly names?: string
  /** From now on; -1 has expired. @default 2 */
  readonly days?: number
}

/**
 * Makes an authority of its own and has it sign one certificate for the server and one for a client. In the same
 * folder once more, all of it is made anew under the same paths, as by a renewal.
 */
export function createCertificates(dir: string, server: ServerCertificate = {}): Certificates {
  const file = (name: string) => join(dir, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const subject = ['-subj', '/CN=test authority']
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', ...subject)
  const { names = 'IP:127.0.0.1', days = 2 } = server
  for (const [name, usage, validDays] of [
    ['server', `serverAuth\nsubjectAltName=${names}`, days],
    ['client', 'clientAuth', 2],
  ] as const) {
    writeFileSync(file(`${name}.ext`), `extendedKeyUsage=${usage}\n`)
    openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial']
    const to = ['-out', `${name}.pem`, '-days', String(validDays), '-extfile', `${name}.ext`]
    openssl('x509', '-req', '-in', `${name}.csr`, ...ca, ...to)
  }
  return {
    ca: file('ca.pem'),
    serverCert: file('server.pem'),
    serverKey: file('server.key'),
    clientCert: file('client.pem'),
    clientKey: file('client.key'),
  }
}

/** Lines for a server that speaks TLS only, and with `verify` only to clients that its authority signed for. */
export function tlsConfig(files: Certificates, verify: boolean): string {
  const own = `cert_file: "${files.serverCert}", key_file: "${files.serverKey}"`
  return verify ? `tls { ${own}, ca_file: "${files.ca}", verify: true }\n` : `tls { ${own} }\n`
}
