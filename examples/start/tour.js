// @ts-check

/**
 * The tour, for the start page and for the terminal: a title, and what to do. `{Name}` is an app, `{account}`
 * the provider's list of sessions.
 * @type {[title: string, text: string][]}
 */
export const tour = [
  [
    'Sign in once',
    'Open {Notes} and sign in. It is an app of the house, so nothing but the password is asked.',
  ],
  [
    'Walk through the other doors',
    'Open {Shop} and {Desk} in the same browser: no password any more. Shop is somebody else’s, so it asks whether it may know you. Desk keeps every token on its server.',
  ],
  [
    'See an API refuse',
    'Open {Board}, a page without a server. Add a task and find it at {Desk}, for both ask the API {Tasks}. Then ask for too much: the API says no by itself.',
  ],
  [
    'Take it to the terminal',
    'Run the command of Person. The browser signs you in, where you are signed in already, and the terminal gets tokens of its own.',
  ],
  [
    'Sign out everywhere',
    'Sign out of any app, or end the session at {account}. Reload the others: signed out as well, and the terminal too.',
  ],
]
