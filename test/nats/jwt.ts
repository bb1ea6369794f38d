import { nkeys } from '@nats-io/transport-node'

type Keys = ReturnType<typeof nkeys.createUser>

/** A server configuration in operator mode, and the contents of a .creds file for its one user. */
export function createOperatorMode(): { config: string; creds: string } {
  const operator = nkeys.createOperator()
  const system = nkeys.createAccount()
  const account = nkeys.createAccount()
  const user = nkeys.createUser()
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
  const userJwt = sign(account, user, 'user', { pub: {}, sub: {}, subs: -1, data: -1, payload: -1 })
  return {
    config: `operator: ${operatorJwt}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${system.getPublicKey()}: ${systemJwt}
  ${account.getPublicKey()}: ${accountJwt}
}
`,
    creds: `-----BEGIN NATS USER JWT-----
${userJwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${new TextDecoder().decode(user.getSeed())}
------END USER NKEY SEED------
`,
  }
}

function sign(issuer: Keys, subject: Keys, type: string, claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode({
    jti: type,
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    name: type,
    sub: subject.getPublicKey(),
    nats: { ...claims, type, version: 2 },
  })}`
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url')}`
}
