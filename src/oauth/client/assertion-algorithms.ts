/** Algorithms of client assertions; a client may register one of them. Never what a header says. */
export const assertionAlgorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const
