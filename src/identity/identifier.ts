/** What people are called: kept as typed, compared normalised in JavaScript, so that both databases agree. */

/**
 * NFKC and case folded: two spellings of one name are one key. A NUL, which PostgreSQL takes in no text, becomes a
 * character that stands in no name.
 */
export const identifierKey = (text: string): string =>
  text.trim().normalize('NFKC').toLowerCase().normalize('NFKC').replaceAll('\0', '\uffff')

/** Invisible, control and private characters, and every white space. */
const unseen = /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/u

const scripts: [string, RegExp][] = [
  ['Latin', /\p{Script=Latin}/u],
  ['Cyrillic', /\p{Script=Cyrillic}/u],
  ['Greek', /\p{Script=Greek}/u],
  ['Armenian', /\p{Script=Armenian}/u],
  ['Cherokee', /\p{Script=Cherokee}/u],
]

/** What is wrong with a user name: a reason of the catalogue, or undefined. */
export const usernameFault = (
  username: string,
): 'required' | 'too_long' | 'unseen_characters' | 'mixed_scripts' | undefined => {
  if (username.trim() === '') return 'required'
  if (username.length > 100) return 'too_long'
  if (unseen.test(username.trim())) return 'unseen_characters'
  // аlice with a Cyrillic а looks like alice: letters of two scripts that share shapes do not stand in one name.
  if (scripts.filter(([, script]) => script.test(username)).length > 1) return 'mixed_scripts'
  return undefined
}

/** What is wrong with an e-mail address; what a mail server would say is not ours to know. */
export const emailFault = (email: string): 'email_form' | undefined =>
  email.length > 254 ||
  unseen.test(email) ||
  !/^[^@<>",;:\\()[\]]{1,64}@[^@<>",;:\\()[\]]+\.[^@.<>",;:\\()[\]]+$|^[^@<>",;:\\()[\]]{1,64}@localhost$/u.test(
    email,
  )
    ? 'email_form'
    : undefined
