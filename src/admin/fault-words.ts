/** The catalogue's reasons in words, for those who run the server. */
import { Refusal } from '../http/refusal.ts'
import type { PasswordFault } from '../identity/password.ts'
import type { UserFault } from '../identity/user.ts'

const words: Record<string, string> = {
  required: 'must not be empty',
  too_long: 'is too long',
  unseen_characters: 'must not hold spaces or invisible characters',
  mixed_scripts: 'mixes letters of alphabets that look alike',
  email_form: 'is not an e-mail address',
}

/** A refusal of the first fault. */
export const invalidUser = ({ field, reason }: UserFault): Refusal =>
  new Refusal('invalid_user', `${field} ${words[reason] ?? reason}`, 400, { reason })

const passwordWords: Record<PasswordFault, string> = {
  required: 'is empty',
  too_short: 'is too short',
  too_short_admin: 'is too short for an administrator, who needs 15 characters',
  too_long: 'is longer than 256 characters',
  common: 'is among the most used ones',
  contains_name: 'is little more than a name',
}

/** A refusal of a password. */
export const weakPassword = (reason: PasswordFault): Refusal =>
  new Refusal('weak_password', `the password ${passwordWords[reason]}`, 400, { reason })
