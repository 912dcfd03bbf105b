/** Logout tokens (OIDC Back-Channel Logout section 2.4). */
import { signJwt } from '../../keys/jwt.ts'
import type { Services } from '../../services.ts'
import { seconds } from '../../store/single-use.ts'
import { randomText } from '../../store/text-key.ts'
import type { Client } from '../client/client.ts'
import { idTokenAlgorithm } from './id-token.ts'

/** Seconds. */
const logoutTokenTtl = 120

/** Makes a logout token: `sid` and `sub`, never a nonce, a fresh `jti` each time. */
export const issueLogoutToken = (
  { issuer, keys, now }: Pick<Services, 'issuer' | 'keys' | 'now'>,
  client: Client,
  { sub, sid }: { sub: string; sid: string },
): Promise<string> => {
  const iat = seconds(now())
  return signJwt(keys.signer(idTokenAlgorithm({ keys }, client)), 'logout+jwt', {
    iss: issuer,
    sub,
    aud: client.id,
    iat,
    exp: iat + logoutTokenTtl,
    jti: randomText(24),
    sid,
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
  })
}
