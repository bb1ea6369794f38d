import { nkeys } from '@nats-io/transport-node'

type Keys = ReturnType<typeof nkeys.createUser>

/** A server configuration in operator mode, with one account. */
export interface OperatorMode {
  readonly config: string
  /** The contents of a .creds file for a user of the account. */
  readonly creds: string
  /** The same for another user, whom the server lets in for so many seconds from now. */
  credsFor(seconds: number): string
}

/** Makes an operator, an account and a user. */
export function createOperatorMode(): OperatorMode {
  const operator = nkeys.createOperator()
  const system = nkeys.createAccount()
  const account = nkeys.createAccount()
  const unlimited = {
    subs: -1,
    data: -1,
    payload: -1,
    imports: -1,
    exports: -1,
    wildcards: true,
    conn: -1,
    leaf: -1,
  }
  const jetstream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
  const operatorJwt = sign(operator, operator, 'operator', { system_account: system.getPublicKey() })
  const systemJwt = sign(operator, system, 'account', { limits: unlimited })
  const accountJwt = sign(operator, account, 'account', { limits: { ...unlimited, ...jetstream } })
  const credsFor = (seconds?: number): string => {
    const user = nkeys.createUser()
    const unrestricted = { pub: {}, sub: {}, subs: -1, data: -1, payload: -1 }
    return `-----BEGIN NATS USER JWT-----
${sign(account, user, 'user', unrestricted, seconds)}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${new TextDecoder().decode(user.getSeed())}
------END USER NKEY SEED------
`
  }
  return {
    config: `operator: ${operatorJwt}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${system.getPublicKey()}: ${systemJwt}
  ${account.getPublicKey()}: ${accountJwt}
}
`,
    creds: credsFor(),
    credsFor,
  }
}

function sign(issuer: Keys, subject: Keys, type: string, claims: object, seconds?: number): string {
  const now = Math.floor(Date.now() / 1000)
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode({
    jti: type,
    iat: now,
    ...(seconds === undefined ? {} : { exp: now + seconds }),
    iss: issuer.getPublicKey(),
    name: type,
    sub: subject.getPublicKey(),
    nats: { ...claims, type, version: 2 },
  })}`
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url')}`
}
