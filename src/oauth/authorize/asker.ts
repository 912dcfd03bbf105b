/** What pages show of the app that asks. */
import type { SignInReason } from '../../identity/sign-in.ts'
import type { Client } from '../client/client.ts'

/** The client as sign-in is told of it. */
export const askerOf = ({ name, metadata }: Client): NonNullable<SignInReason['asker']> => ({
  name,
  ...(metadata.client_uri === undefined ? {} : { uri: metadata.client_uri }),
  ...(metadata.policy_uri === undefined ? {} : { policyUri: metadata.policy_uri }),
  ...(metadata.tos_uri === undefined ? {} : { tosUri: metadata.tos_uri }),
  ...(metadata.initiate_login_uri === undefined ? {} : { startAgain: metadata.initiate_login_uri }),
})
